// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "common/alloc.h"
#include "common/format/cold_format.h"

#define MAGIC_TEXT "STRATA"
#define FORMAT_VERSION 1

void cold_check_of(const void *bytes, size_t size, uint8_t check[COLD_CHECK_SIZE])
{
    struct digest digest;
    digest_of(bytes, size, &digest);
    memcpy(check, digest.bytes, COLD_CHECK_SIZE);
}

uint64_t cold_description_size(uint64_t chunks)
{
    return COLD_DESCRIPTION_FIXED + chunks * CHAIN_STATE_SIZE + COLD_CHECK_SIZE;
}

void cold_description_write(const struct chain *chain, uint8_t **frame, size_t *size)
{
    size_t total = (size_t)cold_description_size(chain->count);
    size_t states_size = chain->count * CHAIN_STATE_SIZE;
    uint8_t *at = alloc_zero(total);
    cold_put_32(at, COLD_MAGIC_DESCRIPTION);
    cold_put_32(at + 4, (uint32_t)(total - COLD_SKIPPABLE_HEADER));
    memcpy(at + 8, MAGIC_TEXT, 6);
    at[14] = FORMAT_VERSION;
    cold_put_64(at + 16, chain->size);
    cold_put_32(at + 24, (uint32_t)CHAIN_CHUNK_SIZE);
    cold_put_32(at + 28, (uint32_t)chain->count);
    memcpy(at + 32, chain->states[chain->count - 1], DIGEST_SIZE);
    memcpy(at + COLD_DESCRIPTION_FIXED, chain->states, states_size);
    cold_check_of(at + COLD_SKIPPABLE_HEADER,
                  total - COLD_SKIPPABLE_HEADER - COLD_CHECK_SIZE,
                  at + total - COLD_CHECK_SIZE);
    *frame = at;
    *size = total;
}

enum err cold_description_head(const uint8_t *fixed, uint64_t stored_size,
                               uint64_t *size, size_t *frame_size, struct error *e)
{
    if (cold_get_32(fixed) != COLD_MAGIC_DESCRIPTION ||
        memcmp(fixed + 8, MAGIC_TEXT, 6) != 0)
        return COLD_UNREADABLE(e, "it does not begin as a cold object does");
    if (fixed[14] != FORMAT_VERSION)
        return COLD_UNREADABLE(e, "version %d of the format is not known", fixed[14]);
    *size = cold_get_64(fixed + 16);
    // A size that no file can have would overflow what follows from it.
    if (*size > INT64_MAX || fixed[15] != 0 ||
        cold_get_32(fixed + 24) != CHAIN_CHUNK_SIZE ||
        cold_get_32(fixed + 28) != chain_count(*size))
        return COLD_UNREADABLE(e, "the description contradicts itself");
    uint64_t total = cold_description_size(chain_count(*size));
    if (total - COLD_SKIPPABLE_HEADER != cold_get_32(fixed + 4))
        return COLD_UNREADABLE(e, "the description has another size than it says");
    if (total > stored_size)
        return COLD_UNREADABLE(e, "the object ends within its description");
    *frame_size = (size_t)total;
    return ERR_NONE;
}

enum err cold_description_parse(const uint8_t *frame, size_t frame_size,
                                struct chain *chain, struct error *e)
{
    uint8_t check[COLD_CHECK_SIZE];
    size_t end = frame_size - COLD_CHECK_SIZE;
    cold_check_of(frame + COLD_SKIPPABLE_HEADER, end - COLD_SKIPPABLE_HEADER, check);
    if (memcmp(check, frame + end, sizeof check) != 0)
        return COLD_UNREADABLE(e, "the description is damaged");
    const uint8_t *states = frame + COLD_DESCRIPTION_FIXED;
    enum err err = chain_from_raw(cold_get_64(frame + 16), states,
                                  end - COLD_DESCRIPTION_FIXED, chain, e);
    if (err != ERR_NONE)
        return err;
    struct digest digest;
    chain_digest(chain, &digest);
    if (memcmp(digest.bytes, frame + 32, DIGEST_SIZE) == 0)
        return ERR_NONE;
    chain_clear(chain);
    return COLD_UNREADABLE(e, "the chain does not end with the digest");
}
