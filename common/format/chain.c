// SPDX-License-Identifier: Apache-2.0
// OpenSSL 3 calls its low-level SHA-256 deprecated, but only that shows the chaining
// value between two blocks; EVP does not.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/format/chain.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/hex.h"

#define WORDS (CHAIN_STATE_SIZE / 4)

size_t chain_count(uint64_t size)
{
    if (size == 0)
        return 1;
    return (size_t)((size - 1) / CHAIN_CHUNK_SIZE + 1);
}

size_t chain_chunk_size(uint64_t size, size_t index)
{
    assert(index < chain_count(size));
    uint64_t left = size - index * CHAIN_CHUNK_SIZE;
    return (size_t)(left < CHAIN_CHUNK_SIZE ? left : CHAIN_CHUNK_SIZE);
}

void chain_clear(struct chain *chain)
{
    free(chain->states);
    *chain = (struct chain){0};
}

void chain_digest(const struct chain *chain, struct digest *digest)
{
    assert(chain->count > 0);
    memcpy(digest->bytes, chain->states[chain->count - 1], DIGEST_SIZE);
}

void chain_root(const struct chain *chain, struct digest *root)
{
    digest_of(chain->states, chain->count * CHAIN_STATE_SIZE, root);
}

bool chain_is_bound(const struct chain *chain, const struct digest *digest,
                    const struct digest *root)
{
    struct digest have;
    chain_digest(chain, &have);
    if (!digest_equal(&have, digest))
        return false;
    chain_root(chain, &have);
    return digest_equal(&have, root);
}

enum err chain_from_raw(uint64_t size, const void *raw, size_t raw_size,
                        struct chain *chain, struct error *e)
{
    size_t count = chain_count(size);
    if (raw_size != count * CHAIN_STATE_SIZE) {
        return error_set(e, ERR_INVALID_FIELD, "a chain of %zu bytes, not %zu",
                         raw_size, count * CHAIN_STATE_SIZE);
    }
    *chain = (struct chain){.size = size, .count = count};
    chain->states = alloc_array(count, CHAIN_STATE_SIZE);
    memcpy(chain->states, raw, raw_size);
    return ERR_NONE;
}

// The name of a member of the object called `field`.
static void member_name(char *text, size_t size, const char *field, const char *member)
{
    snprintf(text, size, "%s%s%s", field, field[0] != '\0' ? "." : "", member);
}

static enum err check_members(const json_t *json, uint64_t size, const char *field,
                              struct error *e)
{
    char name[128];
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        member_name(name, sizeof name, field, key);
        uint64_t wanted = strcmp(key, "size") == 0 ? size : CHAIN_CHUNK_SIZE;
        if (strcmp(key, "states") == 0)
            continue;
        if (strcmp(key, "size") != 0 && strcmp(key, "chunk_size") != 0)
            return error_set_field(e, ERR_UNKNOWN_FIELD, name, "it is not known");
        if (!json_is_integer(value) ||
            json_integer_value(value) != (json_int_t)wanted) {
            return error_set_field(e, ERR_INVALID_FIELD, name, "it must be %llu",
                                   (unsigned long long)wanted);
        }
    }
    return ERR_NONE;
}

static bool state_parse(const json_t *json, uint8_t state[CHAIN_STATE_SIZE])
{
    return json_is_string(json) && json_string_length(json) == 2 * CHAIN_STATE_SIZE &&
           hex_decode(json_string_value(json), state, CHAIN_STATE_SIZE);
}

static bool is_empty_chain(const struct chain *chain)
{
    struct digest nothing, last;
    digest_of("", 0, &nothing);
    chain_digest(chain, &last);
    return digest_equal(&last, &nothing);
}

enum err chain_from_json(const json_t *json, uint64_t size, const char *field,
                         struct chain *chain, struct error *e)
{
    if (!json_is_object(json)) {
        return error_set_field(e, ERR_INVALID_FIELD, field,
                               "a chain is an object with `states`");
    }
    enum err err = check_members(json, size, field, e);
    if (err != ERR_NONE)
        return err;
    char name[128];
    member_name(name, sizeof name, field, "states");
    json_t *states = json_object_get(json, "states");
    size_t count = chain_count(size);
    if (!json_is_array(states) || json_array_size(states) != count) {
        return error_set_field(e, ERR_INVALID_FIELD, name,
                               "a blob of %llu bytes needs an array of %zu values",
                               (unsigned long long)size, count);
    }
    CLEANUP(chain_clear) struct chain read = {.size = size, .count = count};
    read.states = alloc_array(count, CHAIN_STATE_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (!state_parse(json_array_get(states, i), read.states[i])) {
            char item[160];
            snprintf(item, sizeof item, "%s[%zu]", name, i);
            return error_set_field(e, ERR_INVALID_FIELD, item,
                                   "a value is 64 lower-case hexadecimal digits");
        }
    }
    // No chunk will ever be checked against it.
    if (size == 0 && !is_empty_chain(&read)) {
        return error_set_field(e, ERR_INVALID_FIELD, name,
                               "a blob of 0 bytes has the SHA-256 of nothing");
    }
    *chain = read;
    read = (struct chain){0};
    return ERR_NONE;
}

json_t *chain_to_json(const struct chain *chain)
{
    json_t *states = json_array();
    for (size_t i = 0; i < chain->count; i++) {
        char text[2 * CHAIN_STATE_SIZE + 1];
        hex_encode(chain->states[i], CHAIN_STATE_SIZE, text);
        json_array_append_new(states, json_string(text));
    }
    return json_pack("{s:I, s:I, s:o}", "chunk_size", (json_int_t)CHAIN_CHUNK_SIZE,
                     "size", (json_int_t)chain->size, "states", states);
}

// Between two blocks the context's words are the chaining value.
static void state_read(const SHA256_CTX *sha, uint8_t state[CHAIN_STATE_SIZE])
{
    assert(sha->num == 0);
    for (int i = 0; i < WORDS; i++) {
        state[4 * i] = (uint8_t)(sha->h[i] >> 24);
        state[4 * i + 1] = (uint8_t)(sha->h[i] >> 16);
        state[4 * i + 2] = (uint8_t)(sha->h[i] >> 8);
        state[4 * i + 3] = (uint8_t)sha->h[i];
    }
}

// A context that has read the chunks before `index`; `state` is the value before it.
static void state_enter(SHA256_CTX *sha, const uint8_t *state, size_t index)
{
    SHA256_Init(sha);
    if (index == 0)
        return;
    for (int i = 0; i < WORDS; i++) {
        sha->h[i] = (SHA_LONG)state[4 * i] << 24 | (SHA_LONG)state[4 * i + 1] << 16 |
                    (SHA_LONG)state[4 * i + 2] << 8 | (SHA_LONG)state[4 * i + 3];
    }
    uint64_t bits = index * CHAIN_CHUNK_SIZE * 8;
    sha->Nl = (SHA_LONG)bits;
    sha->Nh = (SHA_LONG)(bits >> 32);
}

// True when a context at the end of a chunk holds the value that is expected.
static bool state_matches(SHA256_CTX *sha, const uint8_t *expected, bool is_last)
{
    uint8_t state[CHAIN_STATE_SIZE];
    if (is_last)
        SHA256_Final(state, sha);
    else
        state_read(sha, state);
    return memcmp(state, expected, sizeof state) == 0;
}

static const uint8_t *state_before(const struct chain *chain, size_t index)
{
    return index > 0 ? chain->states[index - 1] : NULL;
}

struct chain_hasher {
    SHA256_CTX sha;
    uint64_t size;
    size_t count; // borders passed
    size_t capacity;
    uint8_t (*states)[CHAIN_STATE_SIZE];
};

struct chain_hasher *chain_hasher_new(void)
{
    struct chain_hasher *hasher = alloc_zero(sizeof *hasher);
    SHA256_Init(&hasher->sha);
    return hasher;
}

void chain_hasher_free(struct chain_hasher *hasher)
{
    if (hasher == NULL)
        return;
    free(hasher->states);
    free(hasher);
}

static uint8_t *hasher_add_state(struct chain_hasher *hasher)
{
    if (hasher->count == hasher->capacity) {
        hasher->capacity = hasher->capacity > 0 ? 2 * hasher->capacity : 16;
        hasher->states = alloc_grow(hasher->states, hasher->capacity, CHAIN_STATE_SIZE);
    }
    return hasher->states[hasher->count++];
}

void chain_hasher_update(struct chain_hasher *hasher, const void *bytes, size_t size)
{
    const uint8_t *next = bytes;
    while (size > 0) {
        uint64_t used = hasher->size % CHAIN_CHUNK_SIZE;
        // A border counts once a byte stands behind it.
        if (used == 0 && hasher->size > 0)
            state_read(&hasher->sha, hasher_add_state(hasher));
        size_t piece = (size_t)(CHAIN_CHUNK_SIZE - used);
        if (piece > size)
            piece = size;
        SHA256_Update(&hasher->sha, next, piece);
        hasher->size += piece;
        next += piece;
        size -= piece;
    }
}

uint64_t chain_hasher_size(const struct chain_hasher *hasher)
{
    return hasher->size;
}

const uint8_t *chain_hasher_states(const struct chain_hasher *hasher, size_t *count)
{
    *count = hasher->count;
    return hasher->states != NULL ? hasher->states[0] : NULL;
}

void chain_hasher_finish(struct chain_hasher *hasher, struct chain *chain)
{
    SHA256_Final(hasher_add_state(hasher), &hasher->sha);
    assert(hasher->count == chain_count(hasher->size));
    *chain = (struct chain){
        .size = hasher->size,
        .count = hasher->count,
        .states = steal_ptr(hasher->states),
    };
}

struct chain_checker {
    SHA256_CTX sha;
    uint64_t size; // bytes of the blob
    size_t first;
    size_t end;                                // no chunk from it on is checked
    const uint8_t (*states)[CHAIN_STATE_SIZE]; // of chunk `first` and those behind it
    size_t index;                              // the chunk being read
    size_t left;                               // bytes of it still to come
    bool failed;
};

// Ends the present chunk and begins the next.
static void checker_step(struct chain_checker *checker)
{
    size_t index = checker->index;
    if (!state_matches(&checker->sha, checker->states[index - checker->first],
                       index + 1 == chain_count(checker->size))) {
        checker->failed = true;
        return;
    }
    checker->index++;
    if (checker->index < checker->end)
        checker->left = chain_chunk_size(checker->size, checker->index);
}

static struct chain_checker *checker_make(uint64_t size, size_t first, size_t end,
                                          const uint8_t *before,
                                          const uint8_t (*states)[CHAIN_STATE_SIZE])
{
    assert(first < end && end <= chain_count(size));
    struct chain_checker *checker = alloc_zero(sizeof *checker);
    *checker = (struct chain_checker){
        .size = size, .first = first, .end = end, .states = states, .index = first};
    checker->left = chain_chunk_size(size, first);
    state_enter(&checker->sha, before, first);
    if (checker->left == 0)
        checker_step(checker);
    return checker;
}

struct chain_checker *chain_checker_new(const struct chain *chain, size_t first)
{
    assert(first < chain->count);
    return checker_make(chain->size, first, chain->count, state_before(chain, first),
                        (const uint8_t(*)[CHAIN_STATE_SIZE])chain->states + first);
}

struct chain_checker *chain_checker_new_at(uint64_t size, size_t first, size_t count,
                                           const uint8_t (*states)[CHAIN_STATE_SIZE])
{
    return checker_make(size, first, first + count, states[0], states + 1);
}

void chain_checker_free(struct chain_checker *checker)
{
    free(checker);
}

bool chain_checker_update(struct chain_checker *checker, const void *bytes, size_t size)
{
    const uint8_t *next = bytes;
    while (size > 0 && !checker->failed) {
        if (checker->index == checker->end) {
            checker->failed = true;
            break;
        }
        size_t piece = size < checker->left ? size : checker->left;
        SHA256_Update(&checker->sha, next, piece);
        checker->left -= piece;
        next += piece;
        size -= piece;
        if (checker->left == 0)
            checker_step(checker);
    }
    return !checker->failed;
}

size_t chain_checker_done(const struct chain_checker *checker)
{
    return checker->index - checker->first;
}

bool chain_check_chunk(const struct chain *chain, size_t index, const void *bytes,
                       size_t size)
{
    if (index >= chain->count || size != chain_chunk_size(chain->size, index))
        return false;
    SHA256_CTX sha;
    state_enter(&sha, state_before(chain, index), index);
    SHA256_Update(&sha, bytes, size);
    return state_matches(&sha, chain->states[index], index + 1 == chain->count);
}
