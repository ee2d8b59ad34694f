// SPDX-License-Identifier: Apache-2.0
// bench-cold FILE: encodes and decodes a file that lies in memory, on one core, without
// any digest, for as long as a second each, and prints what was measured as JSON.
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/format/cold.h"

#define SECONDS 1.0

struct copy {
    const uint8_t *blob;
    size_t blob_size;
    uint8_t *bytes;
    size_t size;
};

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static enum err read_blob(void *context, uint64_t offset, void *bytes, size_t size,
                          struct error *e)
{
    (void)e;
    const struct copy *copy = context;
    assert(offset + size <= copy->blob_size);
    memcpy(bytes, copy->blob + offset, size);
    return ERR_NONE;
}

static enum err write_copy(void *context, const void *bytes, size_t size,
                           struct error *e)
{
    (void)e;
    struct copy *copy = context;
    memcpy(copy->bytes + copy->size, bytes, size);
    copy->size += size;
    return ERR_NONE;
}

// A chain of the right length; its values are of no account to the encoder.
static void make_chain(uint64_t size, struct chain *chain)
{
    size_t count = chain_count(size);
    *chain = (struct chain){size, count, calloc(count, CHAIN_STATE_SIZE)};
    assert(chain->states != NULL);
}

static double encode_rate(struct copy *copy, struct cold_encoded *encoded)
{
    CLEANUP(chain_clear) struct chain chain;
    make_chain(copy->blob_size, &chain);
    const struct cold_encode_request request = {
        .chain = &chain, .read = read_blob, .write = write_copy, .context = copy};
    double began = cpu_seconds(), seconds = 0;
    size_t times = 0;
    while (seconds < SECONDS || times < 2) {
        free(encoded->seek_table);
        copy->size = 0;
        struct error e = {0};
        if (cold_encode(&request, encoded, &e) != ERR_NONE) {
            fprintf(stderr, "encode: %s\n", e.detail);
            exit(1);
        }
        // The first one brings the memory in.
        if (times++ == 0)
            began = cpu_seconds();
        seconds = cpu_seconds() - began;
    }
    return (double)(times - 1) * (double)copy->blob_size / seconds / 1e9;
}

static double decode_rate(const struct copy *copy, const struct cold_encoded *encoded)
{
    AUTO_FREE struct cold_layout *layout = NULL;
    struct error e = {0};
    enum err err = cold_layout_parse(encoded->seek_table, encoded->seek_table_size,
                                     copy->blob_size, copy->size, &layout, &e);
    AUTO_FREE uint8_t *chunk = calloc(1, CHAIN_CHUNK_SIZE);
    struct cold_decoder *decoder = cold_decoder_new();
    double began = cpu_seconds(), seconds = 0;
    size_t times = 0;
    while (err == ERR_NONE && (seconds < SECONDS || times < 2)) {
        for (size_t i = 0; i < layout->count && err == ERR_NONE; i++) {
            const struct cold_frame *frame = &layout->frames[i];
            err = cold_frame_decode(decoder, layout, i, copy->bytes + frame->offset,
                                    chunk, &e);
            if (times == 0 &&
                memcmp(chunk, copy->blob + i * CHAIN_CHUNK_SIZE, frame->size) != 0)
                err = error_set(&e, ERR_INTERNAL, "chunk %zu came out wrong", i);
        }
        if (times++ == 0)
            began = cpu_seconds();
        seconds = cpu_seconds() - began;
    }
    cold_decoder_free(decoder);
    if (err != ERR_NONE) {
        fprintf(stderr, "decode: %s\n", e.detail);
        exit(1);
    }
    return (double)(times - 1) * (double)copy->blob_size / seconds / 1e9;
}

int main(int argc, char **argv)
{
    struct stat st;
    AUTO_FD int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        fprintf(stderr, "usage: bench-cold FILE\n");
        return 2;
    }
    struct copy copy = {.blob_size = (size_t)st.st_size};
    copy.blob =
        mmap(NULL, copy.blob_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    copy.bytes = malloc(cold_bound(copy.blob_size));
    if (copy.blob == MAP_FAILED || copy.bytes == NULL)
        return 1;
    struct cold_encoded encoded = {0};
    double encode = encode_rate(&copy, &encoded);
    double decode = decode_rate(&copy, &encoded);
    printf("{\"size\":%zu,\"stored\":%zu,\"saved\":%.4f,\"encode_rate\":%.4f,"
           "\"decode_rate\":%.4f}\n",
           copy.blob_size, copy.size, 1 - (double)copy.size / (double)copy.blob_size,
           encode, decode);
    free(encoded.seek_table);
    free(copy.bytes);
    return 0;
}
