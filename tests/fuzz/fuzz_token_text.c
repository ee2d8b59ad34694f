// SPDX-License-Identifier: Apache-2.0
// The text of a token. Input: the text.
// Parser: server/api/token_text.c: is_plain token_text_parse
// Options: -max_len=96
#include <ctype.h>

#include "common/cleanup.h"
#include "server/api/token_text.h"
#include "tests/fuzz/fuzz.h"

#define SHAPE "strata_****************_*******************************************"

// The rule once more: letters and digits where the shape has a star.
static bool has_shape(const char *text)
{
    if (strlen(text) != strlen(SHAPE))
        return false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];
        if (SHAPE[i] == '*' ? !isascii(c) || !isalnum(c) : text[i] != SHAPE[i])
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    char id[TOKEN_ID_LENGTH + 1];
    struct digest secret, expected;
    bool accepted = token_text_parse(text, id, &secret);
    REQUIRE(accepted == has_shape(text));
    if (!accepted)
        return 0;
    REQUIRE(strlen(id) == TOKEN_ID_LENGTH);
    REQUIRE(memcmp(text + 7, id, TOKEN_ID_LENGTH) == 0);
    const char *hidden = text + TOKEN_TEXT_SIZE - 1 - TOKEN_SECRET_LENGTH;
    digest_of(hidden, TOKEN_SECRET_LENGTH, &expected);
    REQUIRE(digest_equal(&secret, &expected));
    return 0;
}
