// SPDX-License-Identifier: Apache-2.0
#include "server/api/digest_field.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define KEY "abcdefghijklmnopqrstuvwxyz0123456789_-.*"
#define SHA256_BASE64_SIZE 44 // of 32 bytes, with one character of padding

void digest_field_format(const struct digest *digest, char text[DIGEST_FIELD_SIZE])
{
    unsigned char base64[SHA256_BASE64_SIZE + 1];
    EVP_EncodeBlock(base64, digest->bytes, DIGEST_SIZE);
    snprintf(text, DIGEST_FIELD_SIZE, "sha-256=:%s:", (const char *)base64);
}

static bool decode(const char *base64, size_t size, struct digest *digest)
{
    unsigned char bytes[SHA256_BASE64_SIZE / 4 * 3];
    if (size != SHA256_BASE64_SIZE || strcspn(base64, "=") != size - 1 ||
        EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)size) < 0)
        return false;
    memcpy(digest->bytes, bytes, DIGEST_SIZE);
    return true;
}

// A member of the dictionary: key=:base64: and what follows it up to the comma.
static bool parse_member(const char **at, struct digest *digest, bool *found)
{
    const char *key = *at;
    size_t key_size = strspn(key, KEY);
    const char *value = key + key_size;
    if (key_size == 0 || strncmp(value, "=:", 2) != 0)
        return false;
    value += 2;
    size_t size = strspn(value, BASE64 "=");
    if (value[size] != ':')
        return false;
    if (key_size == strlen("sha-256") && memcmp(key, "sha-256", key_size) == 0) {
        if (!decode(value, size, digest))
            return false;
        *found = true;
    }
    const char *end = value + size + 1;
    end += *end == ';' ? strcspn(end, ",") : 0; // parameters mean nothing here
    *at = end + strspn(end, " \t");
    return true;
}

enum err digest_field_parse(const char *text, struct digest *digest, bool *found,
                            struct error *e)
{
    *found = false;
    if (text == NULL)
        return ERR_NONE;
    const char *p = text + strspn(text, " \t");
    bool good = parse_member(&p, digest, found);
    while (good && *p == ',') {
        p++;
        p += strspn(p, " \t");
        good = parse_member(&p, digest, found);
    }
    if (!good || *p != '\0')
        return error_set_field(e, ERR_BAD_REQUEST, "Content-Digest",
                               "the header does not parse");
    return ERR_NONE;
}
