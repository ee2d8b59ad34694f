// SPDX-License-Identifier: Apache-2.0
// A circuit breaker: after several failures in a row nothing is sent to the bucket for
// a while, so that its callers are told at once instead of each after its deadline;
// then one request probes. Times are of the monotonic clock. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum s3_breaker_state {
    S3_BREAKER_CLOSED,    // all is sent
    S3_BREAKER_HALF_OPEN, // one request is under way, to see
    S3_BREAKER_OPEN,      // nothing is sent
};

struct s3_breaker_options {
    unsigned failures;            // in a row that open it
    int64_t open_ms, open_max_ms; // doubles with each probe that fails
};

struct s3_breaker;
struct s3_breaker *s3_breaker_new(const struct s3_breaker_options *options);
void s3_breaker_free(struct s3_breaker *breaker);

// True: send, and then call one of the two below. False: not for *wait_ms.
bool s3_breaker_enter(struct s3_breaker *breaker, int64_t now_ms, int64_t *wait_ms);
void s3_breaker_succeed(struct s3_breaker *breaker);
void s3_breaker_fail(struct s3_breaker *breaker, int64_t now_ms);
enum s3_breaker_state s3_breaker_state(struct s3_breaker *breaker);
