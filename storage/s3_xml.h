// SPDX-License-Identifier: Apache-2.0
// What a bucket answers, read from XML by expat. The answers come from outside: depth,
// names and texts are bounded, and a document type, where entities would be declared,
// is refused. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

// One element that ended, by local names: `parent` is what it stands in ("" for the
// root), `text` what stood in it. An error ends the parse and is what it returns.
typedef enum err s3_xml_fn(void *context, const char *parent, const char *name,
                           const char *text, struct error *e);
// ERR_UNAVAILABLE: not well-formed, or over a bound.
enum err s3_xml_parse(const char *bytes, size_t size, s3_xml_fn *fn, void *context,
                      struct error *e) MUST_CHECK;

// A failure as the bucket names it; empty texts when the body is none.
struct s3_failure {
    char code[64];
    char message[200];
};
void s3_failure_parse(const char *bytes, size_t size, struct s3_failure *failure);

// One page of ListObjectsV2 or of ListMultipartUploads.
struct s3_item {
    char *key;
    char *upload_id;     // of an upload, otherwise NULL
    uint64_t size;       // of an object
    int64_t modified_us; // or when the upload began
};
struct s3_page {
    struct s3_item *items;
    size_t count;
    bool is_truncated; // then the next are set
    char *next;        // continuation token, or key marker
    char *next_upload; // upload id marker, or NULL
};
void s3_page_clear(struct s3_page *page);
// ERR_UNAVAILABLE when it does not parse or lacks what it must have.
enum err s3_page_parse(const char *bytes, size_t size, struct s3_page *page,
                       struct error *e) MUST_CHECK;

// The text of the first element of this name below the root, to be freed; NULL when
// there is none.
char *s3_xml_find(const char *bytes, size_t size, const char *name);
