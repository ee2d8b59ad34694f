// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_client.h"

#include <assert.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/digest.h"
#include "storage/s3_try.h"

// The first pause; each is twice as long, up to the second number.
#define PAUSE_MS 100
#define PAUSE_MAXIMUM_MS 5000
#define SLEEP_MS 50     // how soon a pause sees that it is to end
#define TIDYING_MS 1000 // for a request that tidies up when all is to end
// Larger bodies are signed only where nothing else protects them: a pass of SHA-256 of
// its own costs more CPU than all the rest of an upload.
#define SIGNED_BODY_MAXIMUM ((size_t)1 << 20)

// ---- construction ---------------------------------------------------------------

static bool is_host(const char *text)
{
    return *text != '\0' && text[strcspn(text, "/?#@ \t\r\n\"\\")] == '\0';
}

static enum err set_endpoint(struct s3_client *client, const char *endpoint,
                             struct error *e)
{
    client->is_https = strncmp(endpoint, "https://", 8) == 0;
    bool is_http = strncmp(endpoint, "http://", 7) == 0;
    size_t skip = client->is_https ? 8 : 7;
    size_t length = strlen(endpoint);
    if (length > skip && endpoint[length - 1] == '/')
        length--;
    AUTO_FREE char *host =
        length > skip ? alloc_copy_n(endpoint + skip, length - skip) : alloc_copy("");
    if ((!client->is_https && !is_http) || !is_host(host))
        return error_set(e, ERR_BAD_REQUEST,
                         "s3_endpoint must be http[s]://host[:port], not \"%s\"",
                         endpoint);
    if (!is_host(client->bucket))
        return error_set(e, ERR_BAD_REQUEST, "s3_bucket \"%s\" is no bucket's name",
                         client->bucket);
    bool is_virtual = client->options.is_virtual;
    client->host =
        is_virtual ? alloc_printf("%s.%s", client->bucket, host) : alloc_copy(host);
    client->path = is_virtual ? alloc_copy("") : alloc_printf("/%s", client->bucket);
    client->base =
        alloc_printf("%s://%s", client->is_https ? "https" : "http", client->host);
    return ERR_NONE;
}

static void set_up(struct s3_client *client, const struct s3_client_options *options)
{
    const char *ca_file = options->ca_file;
    client->pool = http_pool_new(&(struct http_pool_options){
        .handles = options->connections,
        .wait_ms = options->timeout_ms,
        .connect_timeout_ms =
            options->timeout_ms / 4 < 10000 ? options->timeout_ms / 4 : 10000,
        .ca_file = ca_file != NULL && ca_file[0] != '\0' ? ca_file : NULL,
    });
    client->keys = s3_keys_new(options->credentials);
    client->breaker = s3_breaker_new(&(struct s3_breaker_options){
        .failures = 8, .open_ms = 1000, .open_max_ms = 15000});
}

enum err s3_client_new(const struct s3_client_options *options,
                       struct s3_client **client, struct error *e)
{
    struct s3_client *made = alloc_zero(sizeof *made);
    made->options = *options;
    made->bucket = alloc_copy(options->bucket);
    made->region = alloc_copy(options->region);
    enum err err = set_endpoint(made, options->endpoint, e);
    if (err != ERR_NONE) {
        s3_client_free(made);
        return err;
    }
    set_up(made, options);
    *client = made;
    return ERR_NONE;
}

void s3_client_free(struct s3_client *client)
{
    if (client == NULL)
        return;
    http_pool_free(client->pool);
    s3_keys_free(client->keys);
    s3_breaker_free(client->breaker);
    free(client->base);
    free(client->host);
    free(client->path);
    free(client->bucket);
    free(client->region);
    free(client);
}

const char *s3_client_bucket(const struct s3_client *client)
{
    return client->bucket;
}

void s3_answer_clear(struct s3_answer *answer)
{
    http_response_clear(&answer->http);
    memset(&answer->failure, 0, sizeof answer->failure);
}

// ---- deadlines ------------------------------------------------------------------

static bool is_cancelled(const struct s3_client *client)
{
    const atomic_bool *cancel = client->options.cancel;
    return cancel != NULL && atomic_load_explicit(cancel, memory_order_relaxed);
}

static void set_deadline(const struct s3_client *client, struct s3_try *try)
{
    const struct s3_request *request = try->request;
    size_t size = request->range != NULL ? request->range->size : request->body_size;
    int64_t timeout_ms = client->options.timeout_ms + (int64_t)(size >> 20) * 1000;
    try->cancel = client->options.cancel;
    if (size == 0 && is_cancelled(client)) {
        timeout_ms = TIDYING_MS;
        try->cancel = NULL;
    }
    try->deadline_ms = clock_monotonic_ms() + timeout_ms;
}

// False when that would pass the deadline, or all is to end.
static bool sleep_for(const struct s3_client *client, int64_t ms, int64_t deadline_ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    if (until_ms >= deadline_ms)
        return false;
    for (int64_t left = ms; left > 0; left = until_ms - clock_monotonic_ms()) {
        if (is_cancelled(client))
            return false;
        int64_t step = left < SLEEP_MS ? left : SLEEP_MS;
        nanosleep(&(struct timespec){.tv_nsec = (long)step * 1000000}, NULL);
    }
    return !is_cancelled(client);
}

// ---- trying ---------------------------------------------------------------------

// Half of it for certain, half by chance, so that many do not come back together.
static int64_t pause_ms(unsigned failures)
{
    int64_t pause = PAUSE_MAXIMUM_MS;
    uint16_t chance = 0;
    if (failures < 7 && PAUSE_MS << failures < PAUSE_MAXIMUM_MS)
        pause = PAUSE_MS << failures;
    RAND_bytes((unsigned char *)&chance, sizeof chance);
    return pause / 2 + pause / 2 * chance / UINT16_MAX;
}

// Waits for the breaker as long as the deadline allows; a request that was not tried
// yet does not wait.
static enum err pass_breaker(struct s3_client *client, const struct s3_try *try,
                             bool is_first, struct error *e)
{
    int64_t wait_ms = 0;
    while (!s3_breaker_enter(client->breaker, clock_monotonic_ms(), &wait_ms)) {
        if (is_first)
            return error_set(e, ERR_UNAVAILABLE,
                             "S3 %s %s: the bucket is away, nothing is sent for %.1f s",
                             try->request->method,
                             try->request->key != NULL ? try->request->key : "",
                             (double)wait_ms / 1000);
        if (!sleep_for(client, wait_ms, try->deadline_ms))
            return e->code; // why the last try failed
    }
    return ERR_NONE;
}

static void tell_breaker(struct s3_client *client, enum s3_verdict verdict)
{
    // Whatever it says but "I am ill": it is there.
    if (verdict == S3_AGAIN)
        s3_breaker_fail(client->breaker, clock_monotonic_ms());
    else
        s3_breaker_succeed(client->breaker);
}

static enum err try_once(struct s3_client *client, struct s3_try *try,
                         struct s3_answer *answer, enum s3_verdict *verdict,
                         struct error *e)
{
    *verdict = S3_FINAL;
    enum err err = pass_breaker(client, try, answer->tries == 0, e);
    if (err != ERR_NONE)
        return err;
    if (answer->tries++ > 0)
        atomic_fetch_add(&client->retries, 1);
    error_clear(e);
    err = s3_try_run(client, try, answer, verdict, e);
    tell_breaker(client, *verdict);
    // Once: other credentials that are refused as well are no reason to go on.
    if (*verdict == S3_RENEW && answer->tries <= 2 &&
        s3_keys_renew(client->keys, &try->credentials))
        *verdict = S3_AGAIN;
    return err;
}

static const char *hash_body(const struct s3_client *client,
                             const struct s3_request *request,
                             char hex[DIGEST_HEX_SIZE])
{
    // TLS protects what is sent through it. Plain HTTP has nothing but this, and there
    // are servers that take unsigned bodies over TLS alone.
    if (client->is_https && request->body_size > SIGNED_BODY_MAXIMUM)
        return S3_UNSIGNED_PAYLOAD;
    struct digest digest;
    digest_of(request->body, request->body_size, &digest);
    digest_format(&digest, hex);
    return hex;
}

static enum err give_up(const struct s3_answer *answer, enum err err, struct error *e)
{
    if (answer->tries < 2)
        return err;
    AUTO_FREE char *why = alloc_copy(e->detail);
    return error_set(e, err, "%s (%u tries)", why, answer->tries);
}

enum err s3_client_run(struct s3_client *client, const struct s3_request *request,
                       struct s3_answer *answer, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    struct error own = {0};
    e = e != NULL ? e : &own;
    struct s3_try try = {.request = request,
                         .payload = hash_body(client, request, hex)};
    set_deadline(client, &try);
    answer->tries = 0;
    for (unsigned failures = 0;; failures++) {
        size_t done = request->range != NULL ? request->range->done : 0;
        enum s3_verdict verdict = S3_FINAL;
        enum err err = s3_keys_get(client->keys, &try.credentials, e);
        if (err == ERR_NONE)
            err = try_once(client, &try, answer, &verdict, e);
        s3_credentials_clear(&try.credentials);
        if (verdict == S3_DONE)
            return ERR_NONE;
        if (verdict == S3_FINAL || verdict == S3_RENEW)
            return give_up(answer, err, e);
        if (request->range != NULL && request->range->done > done)
            failures = 0; // it goes on
        if (!sleep_for(client, pause_ms(failures), try.deadline_ms))
            return give_up(answer, err, e);
    }
}

void s3_client_count(struct s3_client *client, struct s3_counters *counters)
{
    *counters = (struct s3_counters){
        .requests = atomic_load(&client->requests),
        .retries = atomic_load(&client->retries),
        .failed_network = atomic_load(&client->failed_network),
        .failed_server = atomic_load(&client->failed_server),
        .failed_throttled = atomic_load(&client->failed_throttled),
        .failed_refused = atomic_load(&client->failed_refused),
        .received_bytes = atomic_load(&client->received_bytes),
        .sent_bytes = atomic_load(&client->sent_bytes),
    };
}

enum s3_breaker_state s3_client_breaker(struct s3_client *client)
{
    return s3_breaker_state(client->breaker);
}
