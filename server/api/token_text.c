// SPDX-License-Identifier: Apache-2.0
#include "server/api/token_text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define PREFIX "strata_"
#define PREFIX_LENGTH 7

static const char letters[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Bytes of 248 and more are thrown away, so that each letter is equally likely.
static enum err put_random(char *text, size_t length, struct error *e)
{
    unsigned char bytes[64];
    size_t used = sizeof bytes;
    for (size_t i = 0; i < length;) {
        if (used == sizeof bytes) {
            if (RAND_bytes(bytes, sizeof bytes) != 1)
                return error_set(e, ERR_INTERNAL, "no random bytes can be had");
            used = 0;
        }
        unsigned char byte = bytes[used++];
        if (byte < 248)
            text[i++] = letters[byte % 62];
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ERR_NONE;
}

enum err token_text_make(char text[TOKEN_TEXT_SIZE], struct error *e)
{
    memcpy(text, PREFIX, PREFIX_LENGTH);
    char *id = text + PREFIX_LENGTH;
    enum err err = put_random(id, TOKEN_ID_LENGTH, e);
    if (err != ERR_NONE)
        return err;
    id[TOKEN_ID_LENGTH] = '_';
    text[TOKEN_TEXT_SIZE - 1] = '\0';
    return put_random(id + TOKEN_ID_LENGTH + 1, TOKEN_SECRET_LENGTH, e);
}

static bool is_plain(const char *text, size_t length)
{
    return strspn(text, letters) == length;
}

bool token_text_parse(const char *text, char id[TOKEN_ID_LENGTH + 1],
                      struct digest *secret)
{
    if (strlen(text) != TOKEN_TEXT_SIZE - 1 || memcmp(text, PREFIX, PREFIX_LENGTH) != 0)
        return false;
    const char *rest = text + PREFIX_LENGTH;
    const char *hidden = rest + TOKEN_ID_LENGTH + 1;
    if (!is_plain(rest, TOKEN_ID_LENGTH) || rest[TOKEN_ID_LENGTH] != '_' ||
        !is_plain(hidden, TOKEN_SECRET_LENGTH))
        return false;
    memcpy(id, rest, TOKEN_ID_LENGTH);
    id[TOKEN_ID_LENGTH] = '\0';
    digest_of(hidden, TOKEN_SECRET_LENGTH, secret);
    return true;
}
