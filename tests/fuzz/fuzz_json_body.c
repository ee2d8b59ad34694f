// SPDX-License-Identifier: Apache-2.0
// The text of a JSON body, before any route looks at it, and how JSON is written.
// Input: the text.
// Parser: server/http/json_body.c
// Parser: common/json_text.c
// Options: -max_len=512
#include <math.h>

#include "common/cleanup.h"
#include "common/json_text.h"
#include "server/http/json_body.h"
#include "tests/fuzz/fuzz.h"

static size_t depth_of(const json_t *json)
{
    size_t deepest = 0, i;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        size_t depth = depth_of(value);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(json, i, value)
    {
        size_t depth = depth_of(value);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_object(json) || json_is_array(json));
}

// Each double has a text that reads back as the same.
static void check_real(const uint8_t *data, size_t length)
{
    double value, again;
    if (length < sizeof value)
        return;
    memcpy(&value, data, sizeof value);
    CLEANUP(buf_clear) struct buf text = {0};
    REQUIRE(json_text_real(&text, value));
    if (isfinite(value)) {
        again = strtod(buf_text(&text), NULL);
        REQUIRE(memcmp(&value, &again, sizeof value) == 0);
    }
    CLEANUP(buf_clear) struct buf small = {.maximum = text.size - 1};
    REQUIRE(!json_text_real(&small, value));
}

// What does not fit is said not to.
static void check_bounded(const json_t *body, size_t size)
{
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(buf_clear) struct buf small = {.maximum = 1 + (size - 2) * i / 4};
        REQUIRE(!json_text_value(&small, body));
    }
    CLEANUP(buf_clear) struct buf large = {.maximum = size};
    REQUIRE(json_text_value(&large, body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    check_real(data, length);
    json_t *body = NULL, *again = NULL;
    struct error e = {0};
    enum err err = json_body_parse((const char *)data, length, &body, &e);
    REQUIRE(err == e.code && (err == ERR_NONE) == (body != NULL));
    if (err != ERR_NONE) {
        REQUIRE(err == ERR_BAD_JSON || err == ERR_INVALID_FIELD);
        return 0;
    }
    REQUIRE(json_is_object(body) && depth_of(body) <= JSON_DEPTH_MAXIMUM);
    // Written and read again it is the same, and so is its text.
    size_t size = 0, size_again = 0;
    AUTO_FREE char *text = json_text_dump(body, &size);
    REQUIRE(json_body_parse(text, size, &again, &e) == ERR_NONE);
    REQUIRE(json_equal(body, again));
    AUTO_FREE char *text_again = json_text_dump(again, &size_again);
    REQUIRE(size == size_again && memcmp(text, text_again, size) == 0);
    check_bounded(body, size);
    json_decref(body);
    json_decref(again);
    return 0;
}
