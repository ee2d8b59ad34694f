// SPDX-License-Identifier: Apache-2.0
// Reads a blob from one of its copies and goes on from another, at the same offset,
// when that one goes away or turns out to be damaged. One thread at a time.
#pragma once

#include "common/error.h"
#include "storage/cold_reader.h"
#include "storage/tier.h"

// A copy that is open.
struct blob_place {
    int64_t placement;
    enum tier tier;
    int fd;                 // the raw bytes from offset 0, for pread; -1: none
    struct cold_copy *copy; // where there is no fd
};

// What went wrong with it.
struct blob_failure {
    struct blob_place place; // borrowed
    uint64_t offset;         // in the blob, where it could not be read
    enum err reason;         // ERR_COLD_UNREADABLE: damaged; ERR_BLOB_NOT_FOUND: gone
    const char *detail;
};

// Opens another copy, never the same twice without need: *place is taken over. An
// error: there is none.
typedef enum err blob_next_fn(void *context, const struct blob_failure *failure,
                              struct blob_place *place, struct error *e);

struct blob_source_options {
    struct cold_reads *reads;
    uint64_t size;                       // of the blob
    struct blob_place place;             // taken over
    blob_next_fn *next;                  // or NULL
    void *context;                       // of `next`
    void (*free_context)(void *context); // or NULL
};

struct blob_source;
struct blob_source *blob_source_new(const struct blob_source_options *options);
void blob_source_free(struct blob_source *source); // at once; NULL is allowed

// The tier that it reads from now.
enum tier blob_source_tier(const struct blob_source *source);

// What will be read next, within the blob; nothing else is fetched.
void blob_source_expect(struct blob_source *source, uint64_t offset, uint64_t size);
// The same, and waits until its first bytes are there, so that what cannot be read is
// known before there is an answer. The errors are those of blob_source_read.
enum err blob_source_start(struct blob_source *source, uint64_t offset, uint64_t size,
                           struct error *e) MUST_CHECK;
// At least one byte and at most `size`, at `offset`, which is within the blob.
// ERR_UNAVAILABLE: no copy can be read there now; ERR_ARCHIVED: the last one will be.
enum err blob_source_read(struct blob_source *source, uint64_t offset, void *bytes,
                          size_t size, size_t *got, struct error *e) MUST_CHECK;
// All `size` bytes at `offset`, which are within the blob.
enum err blob_source_read_all(struct blob_source *source, uint64_t offset, void *bytes,
                              size_t size, struct error *e) MUST_CHECK;
