// SPDX-License-Identifier: Apache-2.0
// The header Strata-Chain. Input: its value.
// Parser: server/api/chain_field.c
// Options: -max_len=512
#include "common/cleanup.h"
#include "common/format/chain.h"
#include "common/hex.h"
#include "server/api/chain_field.h"
#include "tests/fuzz/fuzz.h"

// Each value stands in the text, one after the other.
static void check_values(const char *text, const uint8_t *states, size_t count)
{
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        char hex[2 * CHAIN_STATE_SIZE + 1];
        hex_encode(states + i * CHAIN_STATE_SIZE, CHAIN_STATE_SIZE, hex);
        at = strstr(at, hex);
        REQUIRE(at != NULL);
        at += 2 * CHAIN_STATE_SIZE;
    }
    REQUIRE(*(at + strspn(at, " \t")) == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    size_t count = 0;
    AUTO_FREE uint8_t *states = chain_field_parse(text, &count);
    if (states == NULL)
        return 0;
    REQUIRE(count >= 1 && count * 2 * CHAIN_STATE_SIZE <= strlen(text));
    check_values(text, states, count);
    return 0;
}
