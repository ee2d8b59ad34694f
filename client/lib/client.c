// SPDX-License-Identifier: Apache-2.0
#include "client/lib/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/lib/state.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_text.h"

#define JOBS_DEFAULT 4
#define JOBS_MAXIMUM 64
#define RETRY_DEFAULT_MS 60000
#define RETRY_STRANGER_MS                                                              \
    3000 // while the server never answered: a wrong address, most likely
#define DELAY_FIRST_MS 100
#define DELAY_MAXIMUM_MS 5000
#define RETRY_AFTER_MAXIMUM_S 60
#define INTERNAL_ATTEMPTS 4 // at a thing that the server answers with 500
#define HEADERS_MAXIMUM 8

static enum strata_status check_url(const char *url, struct strata_error *e)
{
    if (url == NULL || url[0] == '\0')
        return fail_set(e, STRATA_USAGE,
                        "no server: run `strata login URL` or set STRATA_URL");
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return fail_set(e, STRATA_USAGE,
                        "the server's URL begins with http:// or https://, "
                        "not %s",
                        url);
    }
    if (strpbrk(url, "?# \t\r\n") != NULL)
        return fail_set(e, STRATA_USAGE, "%s is not the URL of a server", url);
    return STRATA_OK;
}

enum strata_status strata_client_new(const struct strata_options *options,
                                     struct strata_client **made,
                                     struct strata_error *e)
{
    *made = NULL;
    enum strata_status status = check_url(options->url, e);
    if (status != STRATA_OK)
        return status;
    if (options->token != NULL && strpbrk(options->token, " \t\r\n") != NULL)
        return fail_set(e, STRATA_USAGE, "the token has white space in it");
    struct strata_client *client = alloc_zero(sizeof *client);
    client->base = alloc_copy(options->url);
    for (size_t n = strlen(client->base); n > 0 && client->base[n - 1] == '/'; n--)
        client->base[n - 1] = '\0';
    if (options->token != NULL && options->token[0] != '\0')
        client->authorization = alloc_printf("Bearer %s", options->token);
    client->jobs = options->jobs > 0 ? options->jobs : JOBS_DEFAULT;
    if (client->jobs > JOBS_MAXIMUM)
        client->jobs = JOBS_MAXIMUM;
    client->retry_ms = options->retry_ms == 0 ? RETRY_DEFAULT_MS : options->retry_ms;
    client->state = state_new(options->state_folder);
    struct http_pool_options pool = {
        .handles = client->jobs + 2,
        .user_agent = "strata/" PACKAGE_VERSION,
    };
    client->pool = http_pool_new(&pool);
    *made = client;
    return STRATA_OK;
}

void strata_client_free(struct strata_client *client)
{
    if (client == NULL)
        return;
    http_pool_free(client->pool);
    state_free(client->state);
    free(client->authorization);
    free(client->base);
    free(client);
}

void strata_free(void *text)
{
    free(text);
}

void backoff_reset(struct backoff *backoff)
{
    *backoff = (struct backoff){0};
}

static bool is_cancelled(const atomic_bool *cancel)
{
    return cancel != NULL && atomic_load(cancel);
}

static void sleep_ms(int64_t ms, const atomic_bool *cancel)
{
    int64_t until = clock_monotonic_ms() + ms;
    while (!is_cancelled(cancel) && clock_monotonic_ms() < until) {
        struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
        nanosleep(&step, NULL);
    }
}

static int64_t delay_ms(const struct backoff *backoff, int retry_after_s)
{
    int64_t delay = DELAY_FIRST_MS;
    for (unsigned i = 1; i < backoff->attempts && delay < DELAY_MAXIMUM_MS; i++)
        delay *= 2;
    if (delay > DELAY_MAXIMUM_MS)
        delay = DELAY_MAXIMUM_MS;
    uint16_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0)
        random = 0;
    delay = delay / 2 + delay * random / (2 * UINT16_MAX); // half of it is jitter
    if (retry_after_s > RETRY_AFTER_MAXIMUM_S)
        retry_after_s = RETRY_AFTER_MAXIMUM_S;
    int64_t asked = (int64_t)retry_after_s * 1000;
    return delay > asked ? delay : asked;
}

bool backoff_wait(struct strata_client *client, struct backoff *backoff,
                  int retry_after_s, const struct strata_error *e,
                  const atomic_bool *cancel)
{
    int64_t now = clock_monotonic_ms();
    if (backoff->attempts == 0)
        backoff->since_ms = now;
    backoff->attempts++;
    if (e->http_status == 500 && backoff->attempts >= INTERNAL_ATTEMPTS)
        return false;
    int64_t patience = client->retry_ms;
    if (!atomic_load(&client->answered) && patience > RETRY_STRANGER_MS)
        patience = RETRY_STRANGER_MS;
    int64_t delay = delay_ms(backoff, retry_after_s);
    if (now + delay - backoff->since_ms > patience || is_cancelled(cancel))
        return false;
    sleep_ms(delay, cancel);
    return !is_cancelled(cancel);
}

void attempt_clear(struct attempt *attempt)
{
    http_response_clear(&attempt->response);
    json_decref(attempt->problem);
    attempt->problem = NULL;
}

static bool may_retry(int status)
{
    return status == 429 || status == 500 || (status >= 502 && status <= 504);
}

static enum strata_status attempt_problem(struct attempt *attempt,
                                          struct strata_error *e)
{
    const struct http_response *response = &attempt->response;
    attempt->problem =
        json_loadb(buf_text(&response->body), response->body.size, 0, NULL);
    attempt->retry = may_retry(response->status);
    const char *after = http_response_header(response, "Retry-After");
    attempt->retry_after_s = after != NULL ? atoi(after) : 0;
    return fail_problem(e, response->status, attempt->problem,
                        http_response_header(response, "X-Request-Id"));
}

enum strata_status client_attempt(struct strata_client *client,
                                  struct http_request *request, const char *path,
                                  struct attempt *attempt, struct strata_error *e)
{
    attempt_clear(attempt);
    *attempt = (struct attempt){.sent = true};
    struct http_header headers[HEADERS_MAXIMUM];
    size_t count = request->header_count;
    if (count > HEADERS_MAXIMUM - 1)
        count = HEADERS_MAXIMUM - 1;
    if (count > 0)
        memcpy(headers, request->headers, count * sizeof *headers);
    if (client->authorization != NULL)
        headers[count++] = (struct http_header){"Authorization", client->authorization};
    AUTO_FREE char *url = alloc_printf("%s%s", client->base, path);
    struct http_request whole = *request;
    whole.url = url;
    whole.headers = headers;
    whole.header_count = count;
    CLEANUP(error_clear) struct error error = {0};
    enum err err = http_pool_run(client->pool, &whole, &attempt->response, &error);
    if (err == ERR_NONE) {
        atomic_store(&client->answered, true);
        if (attempt->response.status >= 200 && attempt->response.status < 300)
            return STRATA_OK;
        return attempt_problem(attempt, e);
    }
    json_t *sent = json_object_get(error.extra, "sent");
    attempt->sent = !json_is_false(sent);
    attempt->retry = err == ERR_UNAVAILABLE;
    enum strata_status status = err == ERR_UNAVAILABLE ? STRATA_AWAY : STRATA_FAILED;
    return fail_set(e, status, "%s", error.detail);
}

// Whether a request that must take effect once at most may be sent again.
static bool surely_not_done(const struct attempt *attempt, const struct strata_error *e)
{
    return !attempt->sent || e->http_status == 429 ||
           (e->http_status == 503 && strcmp(e->type, "outcome-unknown") != 0);
}

static enum strata_status call_run(struct strata_client *client,
                                   const struct call *call, struct attempt *attempt,
                                   struct strata_error *e)
{
    struct strata_error own;
    if (e == NULL)
        e = &own;
    AUTO_FREE char *body = call->body != NULL ? json_text_dump(call->body, NULL) : NULL;
    const struct http_header type = {"Content-Type", "application/json"};
    struct http_request request = {
        .method = call->method,
        .headers = &type,
        .header_count = body != NULL ? 1 : 0,
        .body = body,
        .body_size = body != NULL ? strlen(body) : 0,
        .response_maximum = (size_t)256 << 20, // a chain or a manifest may be long
        .cancel = call->cancel,
    };
    struct backoff backoff = {0};
    for (;;) {
        enum strata_status status =
            client_attempt(client, &request, call->path, attempt, e);
        if (status == STRATA_OK || !attempt->retry ||
            (call->once && !surely_not_done(attempt, e)) ||
            !backoff_wait(client, &backoff, attempt->retry_after_s, e, call->cancel))
            return status;
    }
}

// Anything may listen where the server is said to be.
static enum strata_status read_answer(const struct strata_client *client,
                                      const struct call *call,
                                      const struct http_response *response,
                                      json_t **json, struct strata_error *e)
{
    const struct buf *body = &response->body;
    *json = json_loadb(buf_text(body), body->size, 0, NULL);
    if (json_is_object(*json) &&
        (call->needs == NULL || json_object_get(*json, call->needs) != NULL))
        return STRATA_OK;
    json_decref(*json);
    *json = NULL;
    return fail_set(e, STRATA_FAILED,
                    "%s%s did not answer as it should: is it a Strata server?",
                    client->base, call->path);
}

enum strata_status client_call(struct strata_client *client, const struct call *call,
                               json_t **answer, json_t **problem,
                               struct strata_error *e)
{
    if (answer != NULL)
        *answer = NULL;
    if (problem != NULL)
        *problem = NULL;
    CLEANUP(attempt_clear) struct attempt attempt = {0};
    enum strata_status status = call_run(client, call, &attempt, e);
    if (status != STRATA_OK) {
        if (problem != NULL)
            *problem = steal_ptr(attempt.problem);
        return status;
    }
    if (attempt.response.status == 204 && call->needs == NULL)
        return STRATA_OK;
    AUTO_JSON json_t *json = NULL;
    status = read_answer(client, call, &attempt.response, &json, e);
    if (status != STRATA_OK)
        return status;
    if (answer == NULL)
        return fail_set(e, STRATA_FAILED,
                        "%s%s answered with status %d, not 204: is it a Strata server?",
                        client->base, call->path, attempt.response.status);
    *answer = steal_ptr(json);
    return STRATA_OK;
}

enum strata_status client_call_text(struct strata_client *client,
                                    const struct call *call, char **text,
                                    struct strata_error *e)
{
    *text = NULL;
    CLEANUP(attempt_clear) struct attempt attempt = {0};
    enum strata_status status = call_run(client, call, &attempt, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *json = NULL;
    status = read_answer(client, call, &attempt.response, &json, e);
    if (status != STRATA_OK)
        return status;
    *text = buf_steal(&attempt.response.body);
    return STRATA_OK;
}

char *client_model_path(const struct ref *ref, const char *more)
{
    return alloc_printf("/api/v1/models/%s/%s%s", ref->space, ref->name, more);
}

char *client_version_path(const struct ref *ref, const char *more)
{
    char selector[NAME_SIZE + 8] = "latest";
    if (ref->kind == REF_NUMBER)
        snprintf(selector, sizeof selector, "%lld", (long long)ref->number);
    else if (ref->kind == REF_ALIAS)
        snprintf(selector, sizeof selector, "@%s", ref->alias);
    else if (ref->kind == REF_DIGEST) {
        memcpy(selector, "sha256:", 7);
        digest_format(&ref->digest, selector + 7);
    }
    return alloc_printf("/api/v1/models/%s/%s/versions/%s%s", ref->space, ref->name,
                        selector, more);
}

enum strata_status client_parse_ref(const char *text, struct ref *ref,
                                    struct strata_error *e)
{
    struct error error = {0};
    if (ref_parse(text, "ref", ref, &error) == ERR_NONE)
        return STRATA_OK;
    return fail_set(e, STRATA_USAGE, "%s: %s", text, error.detail);
}

enum strata_status client_parse_model(const char *text, struct ref *ref,
                                      struct strata_error *e)
{
    struct error error = {0};
    if (ref_parse_model(text, "model", ref, &error) == ERR_NONE)
        return STRATA_OK;
    return fail_set(e, STRATA_USAGE, "%s: %s", text, error.detail);
}
