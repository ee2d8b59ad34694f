// SPDX-License-Identifier: Apache-2.0
// Multipart uploads. Parts are numbered from 1. Errors as of s3_client_run. Any thread.
#pragma once

#include "storage/s3_client.h"

#define S3_PARTS_MAXIMUM 10000
#define S3_PART_MINIMUM ((uint64_t)5 << 20) // but of the last one
#define S3_PART_MAXIMUM ((uint64_t)5 << 30)
#define S3_OBJECT_MAXIMUM ((uint64_t)5 << 40)

struct s3_multipart {
    struct s3_client *client;
    const char *key; // the caller's
    char *upload_id;
    char **etags; // of parts 1, 2, …
    size_t part_count;
};

// `part_count`: the most that will come.
enum err s3_multipart_begin(struct s3_client *client, const char *key,
                            size_t part_count, struct s3_multipart *multipart,
                            struct error *e) MUST_CHECK;
// Several parts at once, each by one thread.
enum err s3_multipart_put(struct s3_multipart *multipart, unsigned number,
                          const void *bytes, size_t size, struct error *e) MUST_CHECK;
// From `size` bytes of another object of the bucket.
enum err s3_multipart_copy(struct s3_multipart *multipart, unsigned number,
                           const char *from, uint64_t offset, uint64_t size,
                           struct error *e) MUST_CHECK;
// Parts 1 to `part_count`. The caller then confirms the object: when an answer was lost
// and the upload is complete, it cannot be told from one that is gone.
enum err s3_multipart_complete(struct s3_multipart *multipart, size_t part_count,
                               struct error *e) MUST_CHECK;
void s3_multipart_clear(struct s3_multipart *multipart);

// Fine when it is not there.
enum err s3_multipart_abort(struct s3_client *client, const char *key,
                            const char *upload_id, struct error *e) MUST_CHECK;

// Appends /bucket/key as the header x-amz-copy-source wants it.
void s3_copy_source(struct s3_client *client, const char *key, struct buf *source);
