// SPDX-License-Identifier: Apache-2.0
// One try of a request to the bucket, and what its outcome means. Within storage/s3_*.
#pragma once

#include "storage/s3_client.h"
#include "storage/s3_keys.h"

struct s3_client {
    struct s3_client_options options; // its texts are not used
    char *base; // scheme://host, and /bucket where it stands there
    char *host; // what the Host header says
    char *path; // "" or "/bucket"
    char *bucket;
    char *region;
    bool is_https;
    struct http_pool *pool;
    struct s3_keys *keys;
    struct s3_breaker *breaker;
    atomic_llong requests, retries, failed_network, failed_server, failed_throttled,
        failed_refused, received_bytes, sent_bytes;
};

enum s3_verdict {
    S3_DONE,
    S3_FINAL,     // it would fail again
    S3_AGAIN,     // the bucket or the way there is ill
    S3_THROTTLED, // it is well, and wants less
    S3_RENEW,     // it refuses the credentials
};

struct s3_try {
    const struct s3_request *request;
    const char *payload; // for the signature
    int64_t deadline_ms;
    const atomic_bool *cancel;         // or NULL
    struct s3_credentials credentials; // to sign with; the caller's
    bool is_past_end;                  // of the object, by its Content-Range
};

// Sends it once. The error, if any, is in *e and is what *verdict is about.
enum err s3_try_run(struct s3_client *client, struct s3_try *try,
                    struct s3_answer *answer, enum s3_verdict *verdict,
                    struct error *e) MUST_CHECK;
