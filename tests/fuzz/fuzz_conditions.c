// SPDX-License-Identifier: Apache-2.0
// If-Match, If-None-Match and If-Range. Input: the header's value.
// Parser: server/api/conditions.c
// Options: -max_len=256
#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/api/conditions.h"
#include "tests/fuzz/fuzz.h"

#define ETAG "\"a1\""

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *header = fuzz_text(data, length);
    bool strong = etag_list_has(header, ETAG, false);
    bool weak = etag_list_has(header, ETAG, true);
    bool same = etag_is_same(header, ETAG);
    REQUIRE(!strong || weak);
    REQUIRE(!same || strong);
    REQUIRE(!weak || strstr(header, ETAG) != NULL || strchr(header, '*') != NULL);
    REQUIRE(!etag_list_has(NULL, ETAG, true));
    if (strong) { // one more member in front changes nothing
        AUTO_FREE char *longer = alloc_printf("\"b2\", %s", header);
        REQUIRE(strchr(header, '*') != NULL || etag_list_has(longer, ETAG, false));
    }
    return 0;
}
