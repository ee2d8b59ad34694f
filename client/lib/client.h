// SPDX-License-Identifier: Apache-2.0
// The client inside libstrata: one pool of connections, the server's address and token,
// and the way a request is repeated.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/lib/fail.h"
#include "client/lib/strata.h"
#include "common/http_client.h"
#include "common/names.h"

struct state;

struct strata_client {
    struct http_pool *pool;
    char *base;          // "https://host" without a slash at the end
    char *authorization; // "Bearer …", or NULL
    unsigned jobs;
    int64_t retry_ms;
    atomic_bool answered; // some request of this client was answered
    struct state *state;  // never NULL
};

// Waits between attempts at one thing. Zero-initialise; backoff_reset after progress.
struct backoff {
    unsigned attempts; // that failed since the last progress
    int64_t since_ms;  // when the first of them did, 0 = none
};

void backoff_reset(struct backoff *backoff);
// Sleeps before the next attempt after the error *e: longer each time, with jitter, at
// least `retry_after_s`. False when the time to retry is used up or *cancel is true.
bool backoff_wait(struct strata_client *client, struct backoff *backoff,
                  int retry_after_s, const struct strata_error *e,
                  const atomic_bool *cancel);

struct call {
    const char *method;
    const char *path;   // from "/api/v1/…" on, encoded
    const json_t *body; // NULL = none
    bool once;          // must not be sent again when it may have arrived
    const atomic_bool *cancel;
    const char *needs; // a member that the answer has, NULL = none
};

// Sends, and sends again while that helps; *answer is owned by the caller, and NULL
// where the answer is 204. With `answer` NULL only 204 will do. After an error
// *problem, when it is not NULL, is the problem object or NULL.
enum strata_status client_call(struct strata_client *client, const struct call *call,
                               json_t **answer, json_t **problem,
                               struct strata_error *e);
// The same, with the answer's text, as a NUL-terminated copy for strata_free.
enum strata_status client_call_text(struct strata_client *client,
                                    const struct call *call, char **text,
                                    struct strata_error *e);

// One attempt. `request` lacks url and authorization, which are added; its `path` is
// given apart. An answer of status >= 400 and a lost one are errors; retry_after_s is
// what the server asked for, 0 otherwise; *retry says whether trying again may help.
struct attempt {
    struct http_response response;
    json_t *problem;
    bool retry;
    bool sent; // the request may have reached the server
    int retry_after_s;
};
void attempt_clear(struct attempt *attempt);
enum strata_status client_attempt(struct strata_client *client,
                                  struct http_request *request, const char *path,
                                  struct attempt *attempt, struct strata_error *e);

// "/api/v1/models/ns/name" and, for a whole ref, "…/versions/7"; `more` is appended as
// it is. The caller frees.
char *client_model_path(const struct ref *ref, const char *more);
char *client_version_path(const struct ref *ref, const char *more);
// Parses what the user wrote; STRATA_USAGE.
enum strata_status client_parse_ref(const char *text, struct ref *ref,
                                    struct strata_error *e);
enum strata_status client_parse_model(const char *text, struct ref *ref,
                                      struct strata_error *e);
