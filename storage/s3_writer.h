// SPDX-License-Identifier: Apache-2.0
// Writes one object from its first byte to its last: a single PUT when it is no larger
// than a part, otherwise a multipart upload with several parts under way. One thread at
// a time; the parts are sent by threads of its own.
#pragma once

#include "storage/s3_client.h"

struct s3_writer;

// At most `bound` bytes will come; `part_size` as tier_s3_part_size gives it. Sends
// nothing. `key` is copied.
struct s3_writer *s3_writer_new(struct s3_client *client, const char *key,
                                uint64_t bound, uint64_t part_size);
// A failure is final: all that follow return it.
enum err s3_writer_write(struct s3_writer *writer, const void *bytes, size_t size,
                         struct error *e) MUST_CHECK;
// Confirmed by the bucket with its size when it returns ERR_NONE.
enum err s3_writer_finish(struct s3_writer *writer, struct error *e) MUST_CHECK;
// Not finished: waits for the parts under way and aborts the upload.
void s3_writer_free(struct s3_writer *writer);
