// SPDX-License-Identifier: Apache-2.0
#include "client/lib/state_format.h"

#include <stdio.h>
#include <string.h>

#define HASH_MAGIC "strata hash 1\n"
#define HASH_MAGIC_SIZE (sizeof HASH_MAGIC - 1)

bool state_note_format(const char *text, char file[STATE_NOTE_MAXIMUM + 1])
{
    int size = snprintf(file, STATE_NOTE_MAXIMUM + 1, "%s\n", text);
    return (size_t)size <= STATE_NOTE_MAXIMUM; // a negative one is larger still
}

void state_note_parse(char *file)
{
    char *end = strchr(file, '\n');
    if (end != NULL)
        *end = '\0';
    else
        file[0] = '\0';
}

bool state_hash_format(const struct chain *chain, struct buf *file)
{
    struct digest sum;
    if (!buf_puts(file, HASH_MAGIC) ||
        !buf_append(file, chain->states, chain->count * CHAIN_STATE_SIZE))
        return false;
    digest_of(file->data, file->size, &sum);
    return buf_append(file, sum.bytes, DIGEST_SIZE);
}

bool state_hash_parse(const void *bytes, size_t bytes_size, uint64_t size,
                      struct chain *chain)
{
    const char *file = bytes;
    size_t raw = chain_count(size) * CHAIN_STATE_SIZE;
    if (bytes_size != HASH_MAGIC_SIZE + raw + DIGEST_SIZE ||
        memcmp(file, HASH_MAGIC, HASH_MAGIC_SIZE) != 0)
        return false;
    struct digest sum;
    digest_of(file, HASH_MAGIC_SIZE + raw, &sum);
    if (memcmp(sum.bytes, file + HASH_MAGIC_SIZE + raw, DIGEST_SIZE) != 0)
        return false;
    return chain_from_raw(size, file + HASH_MAGIC_SIZE, raw, chain, NULL) == ERR_NONE;
}
