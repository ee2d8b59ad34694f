// SPDX-License-Identifier: Apache-2.0
// What lies in the bucket below a prefix, page by page. Errors as of s3_client_run, and
// what `visit` returns, which ends the list. Any thread.
#pragma once

#include "storage/s3_client.h"

typedef enum err s3_visit_fn(void *context, const struct s3_item *item,
                             struct error *e);

// At most `limit` objects, 0 = all.
enum err s3_list_objects(struct s3_client *client, const char *prefix, size_t limit,
                         s3_visit_fn *visit, void *context, struct error *e) MUST_CHECK;
// Multipart uploads that are neither complete nor aborted.
enum err s3_list_uploads(struct s3_client *client, const char *prefix,
                         s3_visit_fn *visit, void *context, struct error *e) MUST_CHECK;
