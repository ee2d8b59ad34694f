// SPDX-License-Identifier: Apache-2.0
// The header Content-Digest. Input: its value.
// Parser: server/api/digest_field.c
// Options: -max_len=256
#include "common/cleanup.h"
#include "server/api/digest_field.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *header = fuzz_text(data, length);
    struct error e = {0};
    struct digest digest = {{0}}, again;
    bool found = false, found_again = false;
    REQUIRE(digest_field_parse(NULL, &digest, &found, &e) == ERR_NONE && !found);
    enum err err = digest_field_parse(header, &digest, &found, &e);
    REQUIRE((err != ERR_NONE) == (e.code != ERR_NONE));
    if (err != ERR_NONE || !found)
        return 0;
    char text[DIGEST_FIELD_SIZE];
    digest_field_format(&digest, text);
    REQUIRE(digest_field_parse(text, &again, &found_again, &e) == ERR_NONE);
    REQUIRE(found_again && digest_equal(&digest, &again));
    // All but the last letter, of which two bits count for nothing, stood there.
    text[strlen(text) - 3] = '\0';
    REQUIRE(strstr(header, text) != NULL);
    return 0;
}
