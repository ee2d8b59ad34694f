// SPDX-License-Identifier: Apache-2.0
#include "storage/upload_chain.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"

// The chunk whose value comes first with part `number`.
static size_t first_value(const struct upload *u, uint64_t number)
{
    uint64_t chunk = number * u->part_size / CHAIN_CHUNK_SIZE;
    return (size_t)(number > 0 ? chunk - 1 : chunk);
}

size_t upload_chain_values(const struct upload *u, uint64_t number)
{
    uint64_t length = upload_part_length(u->size, u->part_size, number);
    return chain_count(length) + (number > 0 ? 1 : 0);
}

void upload_chain_begin(struct upload *u)
{
    assert(u->chain.count == 0 && u->size > 0);
    size_t count = chain_count(u->size);
    u->chain = (struct chain){.size = u->size, .count = count};
    u->chain.states = alloc_array(count, CHAIN_STATE_SIZE);
    u->chain_known = alloc_zero(count);
}

enum err upload_chain_take(struct upload *u, uint64_t number, const uint8_t *states,
                           struct error *e)
{
    size_t first = first_value(u, number);
    size_t count = upload_chain_values(u, number);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *state = states + i * CHAIN_STATE_SIZE;
        if (u->chain_known[first + i] &&
            memcmp(u->chain.states[first + i], state, CHAIN_STATE_SIZE) != 0)
            return error_set(e, ERR_PART_CONFLICT,
                             "the chain of part %" PRIu64
                             " does not meet that of its neighbour",
                             number);
    }
    memcpy(u->chain.states[first], states, count * CHAIN_STATE_SIZE);
    memset(u->chain_known + first, 1, count);
    return ERR_NONE;
}

const uint8_t *upload_chain_of_part(const struct upload *u, uint64_t number)
{
    return u->chain.states[first_value(u, number)];
}
