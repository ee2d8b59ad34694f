// SPDX-License-Identifier: Apache-2.0
// What is done with one object of the bucket. Errors as of s3_client_run. Any thread.
#pragma once

#include "common/buf.h"
#include "storage/s3_client.h"

// PUT, and a HEAD that it is there with this size. `bytes` has at most 5 GiB.
enum err s3_object_put(struct s3_client *client, const char *key, const void *bytes,
                       size_t size, struct error *e) MUST_CHECK;
// ERR_UNAVAILABLE when the object is not there with this size.
enum err s3_object_confirm(struct s3_client *client, const char *key, uint64_t size,
                           struct error *e) MUST_CHECK;
// *found is false when the bucket has no such object, as its list confirms: a HEAD
// alone does not tell it from a bucket that is gone.
enum err s3_object_head(struct s3_client *client, const char *key, bool *found,
                        uint64_t *size, struct error *e) MUST_CHECK;
// All `size` bytes from `offset` on. ERR_ARCHIVED: it is in an archive class.
enum err s3_object_read(struct s3_client *client, const char *key, uint64_t offset,
                        void *bytes, size_t size, struct error *e) MUST_CHECK;
// Asks for such an object to be brought back. ERR_ARCHIVED always: it says what came
// of that.
enum err s3_object_ask_back(struct s3_client *client, const char *key,
                            struct error *e) MUST_CHECK;
// The whole of a small one, appended; ERR_UNAVAILABLE when it is over text->maximum.
enum err s3_object_get(struct s3_client *client, const char *key, struct buf *text,
                       struct error *e) MUST_CHECK;
// Fine when it is not there.
enum err s3_object_delete(struct s3_client *client, const char *key,
                          struct error *e) MUST_CHECK;
// Within the bucket, by the server; more than `piece` bytes (0 = 1 GiB) in pieces of
// that size.
enum err s3_object_copy(struct s3_client *client, const char *from, const char *to,
                        uint64_t size, uint64_t piece, struct error *e) MUST_CHECK;
