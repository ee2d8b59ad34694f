// SPDX-License-Identifier: Apache-2.0
// Requests to one bucket: signed, and tried again until they succeed, fail for good or
// the deadline passes. What is sent must therefore do no harm when it is done twice.
// Any thread; at most `connections` requests are under way, more wait.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/http_client.h"
#include "storage/s3_breaker.h"
#include "storage/s3_xml.h"

struct s3_client_options {
    const char *endpoint; // http[s]://host[:port]
    const char *bucket;
    const char *region;
    bool is_virtual;         // bucket.host/key instead of host/bucket/key
    const char *credentials; // file; NULL or "" = the environment
    const char *ca_file;     // NULL or "" = the system's
    unsigned connections;
    int64_t timeout_ms;        // a request and its retries, plus a second for each MiB
    // NULL, or true ends all requests within about a second. Later ones without a body
    // or a range, which tidy up, get that long. Outlives the client.
    const atomic_bool *cancel;
};

struct s3_client;
// ERR_BAD_REQUEST: the endpoint is none. Sends nothing.
enum err s3_client_new(const struct s3_client_options *options,
                       struct s3_client **client, struct error *e) MUST_CHECK;
void s3_client_free(struct s3_client *client); // no request may run
const char *s3_client_bucket(const struct s3_client *client);

// A part of an object, read into memory; retries go on at what has come.
struct s3_range {
    uint64_t offset;
    size_t size; // > 0
    char *bytes;
    size_t done;
};

#define S3_HEADERS_MAXIMUM 3
struct s3_request {
    const char *method;
    const char *key;                   // whole; NULL: the bucket
    const char *query;                 // percent-encoded, sorted by name; NULL = none
    const struct http_header *headers; // names in lower case
    size_t header_count;               // at most S3_HEADERS_MAXIMUM
    const void *body;
    size_t body_size;
    struct s3_range *range; // of a GET; NULL: the answer's body goes to `answer`
    size_t answer_maximum;  // 0 = 16 MiB
    bool is_slow;           // the bucket may be silent for half of the deadline
    bool may_fail_late;     // a failure may stand in the body of a 200
};

struct s3_answer {
    struct http_response http;
    struct s3_failure failure;
    unsigned tries;
};
void s3_answer_clear(struct s3_answer *answer);

// ERR_NONE: a 2xx. ERR_BLOB_NOT_FOUND and ERR_UPLOAD_NOT_FOUND: the bucket says so.
// ERR_ARCHIVED, ERR_INSUFFICIENT_STORAGE. ERR_UNAVAILABLE: everything else; *e has
// status, code and message of the last try.
enum err s3_client_run(struct s3_client *client, const struct s3_request *request,
                       struct s3_answer *answer, struct error *e) MUST_CHECK;

// Since the client was made.
struct s3_counters {
    int64_t requests; // tries
    int64_t retries;
    int64_t failed_network;             // no answer, or one that was cut short
    int64_t failed_server;              // 5xx
    int64_t failed_throttled;           // 429, SlowDown
    int64_t failed_refused;             // 4xx that says no; 404 does not count
    int64_t received_bytes, sent_bytes; // of bodies
};
void s3_client_count(struct s3_client *client, struct s3_counters *counters);
enum s3_breaker_state s3_client_breaker(struct s3_client *client);
