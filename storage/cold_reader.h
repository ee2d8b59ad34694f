// SPDX-License-Identifier: Apache-2.0
// Reads one copy on the cold tier from anywhere, through the cache that all readers
// share (storage/cold_cache.h): every byte it gives has been checked. It reads ahead as
// far as it is read in order, and never past what is expected. One thread at a time.
//
// Errors: ERR_COLD_UNREADABLE (the copy is damaged there), ERR_BLOB_NOT_FOUND (it is
// gone), ERR_UNAVAILABLE, ERR_ARCHIVED and what else the store returned. The reader can
// go on after any of them, elsewhere or there again.
#pragma once

#include "storage/cold_cache.h"
#include "storage/cold_copy.h"

struct cold_reader;

// Holds the copy for itself.
struct cold_reader *cold_reader_new(struct cold_reads *reads, struct cold_copy *copy);
// At once, whatever is being fetched; of what nobody else wants no further chunk is.
// NULL is allowed.
void cold_reader_free(struct cold_reader *reader);

// What will be read next, all of it within the blob: nothing else is fetched. Before
// the first call that is the whole blob.
void cold_reader_expect(struct cold_reader *reader, uint64_t offset, uint64_t size);
// Waits until what is at `offset`, which is within the blob, has come and is checked:
// the chunk there, or of a copy in pieces the piece.
enum err cold_reader_wait(struct cold_reader *reader, uint64_t offset,
                          struct error *e) MUST_CHECK;
// Waits for the same and copies up to the end of the chunk or of what has come of it;
// *got is at least 1.
enum err cold_reader_read(struct cold_reader *reader, uint64_t offset, void *bytes,
                          size_t size, size_t *got, struct error *e) MUST_CHECK;
