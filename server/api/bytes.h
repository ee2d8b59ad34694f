// SPDX-License-Identifier: Apache-2.0
// Answers a request for a blob's bytes: conditions, ranges, validators and the headers
// that keep a browser from running what it downloads.
#pragma once

#include "common/digest.h"
#include "server/api/request.h"
#include "server/api/response.h"

// Fills in 200, 206, 304 or the error (412, 416) for the blob `digest` as the request's
// conditional and Range headers ask. `filename` is offered for saving (its last path
// component); NULL = the digest, and the answer may be cached for ever. `media_type`
// NULL, and types that a browser would run, are application/octet-stream.
// ERR_BLOB_NOT_FOUND, ERR_UNAVAILABLE, ERR_PRECONDITION_FAILED,
// ERR_RANGE_NOT_SATISFIABLE.
enum err bytes_respond(struct request *request, struct response *response,
                       const struct digest *digest, const char *filename,
                       const char *media_type, struct error *e) MUST_CHECK;

// A part of a blob.
struct bytes_part {
    const struct digest *digest;
    uint64_t offset; // within the blob
    uint64_t length; // bytes
};

// The same for a part of a blob, as for a file of its own: ranges count from its first
// byte, its ETag is the digest with offset and length, and there is no Repr-Digest.
// `filename` is not NULL.
enum err bytes_respond_part(struct request *request, struct response *response,
                            const struct bytes_part *part, const char *filename,
                            struct error *e) MUST_CHECK;
