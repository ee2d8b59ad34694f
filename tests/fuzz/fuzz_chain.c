// SPDX-License-Identifier: Apache-2.0
// A chain as JSON, as both sides read it. Input: SIZE of the blob, a character, the
// JSON.
// Parser: common/format/chain.c: chain_count check_members state_parse chain_from_raw
// Parser: common/format/chain.c: chain_from_json is_empty_chain chain_is_bound
// Parser: common/format/chain.c: chain_clear chain_to_json
// Options: -max_len=512
#include "common/cleanup.h"
#include "common/format/chain.h"
#include "tests/fuzz/fuzz.h"

static bool are_same(const struct chain *a, const struct chain *b)
{
    return a->size == b->size && a->count == b->count &&
           memcmp(a->states, b->states, a->count * CHAIN_STATE_SIZE) == 0;
}

static void check_binding(const struct chain *chain)
{
    struct digest digest, root;
    chain_digest(chain, &digest);
    chain_root(chain, &root);
    REQUIRE(chain_is_bound(chain, &digest, &root));
    root.bytes[0] ^= 1;
    REQUIRE(!chain_is_bound(chain, &digest, &root));
    root.bytes[0] ^= 1;
    digest.bytes[DIGEST_SIZE - 1] ^= 1;
    REQUIRE(!chain_is_bound(chain, &digest, &root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    const char *rest = text;
    uint64_t size = fuzz_take_number(&rest);
    AUTO_JSON json_t *json = json_loads(rest, JSON_DECODE_ANY, NULL);
    struct error e = {0};
    CLEANUP(chain_clear) struct chain chain = {0}, again = {0}, raw = {0};
    enum err err = chain_from_json(json, size, "chain", &chain, &e);
    REQUIRE(err == e.code);
    if (err != ERR_NONE) {
        REQUIRE(chain.states == NULL && strncmp(e.field, "chain", 5) == 0);
        REQUIRE(size == 0 || chain_from_raw(size, "", 0, &raw, &e) != ERR_NONE);
        return 0;
    }
    REQUIRE(chain.size == size && chain.count == chain_count(size));
    AUTO_JSON json_t *written = chain_to_json(&chain);
    REQUIRE(chain_from_json(written, size, "", &again, &e) == ERR_NONE);
    REQUIRE(are_same(&chain, &again));
    REQUIRE(chain_from_raw(size, chain.states, chain.count * CHAIN_STATE_SIZE, &raw,
                           &e) == ERR_NONE);
    REQUIRE(are_same(&chain, &raw));
    check_binding(&chain);
    return 0;
}
