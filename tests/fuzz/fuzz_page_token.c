// SPDX-License-Identifier: Apache-2.0
// Pages of lists. Input: the value of `limit`, a newline, the value of `page_token`.
// Parser: server/api/request.c: page_limit decode_token request_page page_token_encode
// Parser: server/api/place.c: place_page_number
// Options: -max_len=256
#include "common/cleanup.h"
#include "common/names.h"
#include "server/api/place.h"
#include "server/api/request.h"
#include "tests/fuzz/fuzz.h"

// What is given out is taken again.
static void check_round_trip(const char *key)
{
    AUTO_FREE char *token = page_token_encode(key);
    struct request_pair query = {"page_token", token};
    struct request request = {.query = &query, .query_count = 1};
    struct page page;
    struct error e = {0};
    REQUIRE(request_page(&request, &page, &e) == ERR_NONE);
    REQUIRE(strcmp(page.token, key) == 0 && page.limit == 100);
    request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    char *newline = strchr(text, '\n');
    const char *token = newline != NULL ? newline + 1 : text;
    struct request_pair query[2];
    struct request request = {.query = query};
    if (*token != '\0')
        query[request.query_count++] = (struct request_pair){"page_token", token};
    if (newline != NULL)
        query[request.query_count++] = (struct request_pair){"limit", text};
    if (newline != NULL)
        *newline = '\0';
    struct page page;
    struct error e = {0};
    enum err err = request_page(&request, &page, &e);
    REQUIRE((err != ERR_NONE) == (e.code != ERR_NONE));
    if (err == ERR_NONE) {
        REQUIRE(page.limit >= 1 && page.limit <= 1000);
        // Only what was given out is taken.
        AUTO_FREE char *again = page_token_encode(page.token != NULL ? page.token : "");
        REQUIRE(strcmp(again, token) == 0);
        int64_t number = 0;
        err = place_page_number(&page, 1, &number, &e);
        REQUIRE(err != ERR_NONE || number >= 1);
    }
    request_clear(&request);
    if (*token != '\0' && strlen(token) <= 1024 && utf8_is_valid(token, strlen(token)))
        check_round_trip(token);
    return 0;
}
