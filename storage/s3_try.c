// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_try.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define STALL_SHARE 4 // of the deadline: several tries must fit
#define STALL_MINIMUM_MS 500

// ---- what an answer means -------------------------------------------------------

struct meaning {
    enum err err;
    enum s3_verdict verdict;
};

// Codes that mean something else than their status.
static bool find_code(const char *code, struct meaning *meaning)
{
    static const struct {
        const char *code;
        struct meaning meaning;
    } codes[] = {
        {"NoSuchKey", {ERR_BLOB_NOT_FOUND, S3_FINAL}},
        {"NoSuchUpload", {ERR_UPLOAD_NOT_FOUND, S3_FINAL}},
        {"NoSuchBucket", {ERR_UNAVAILABLE, S3_FINAL}},
        {"InvalidObjectState", {ERR_ARCHIVED, S3_FINAL}},
        {"SlowDown", {ERR_UNAVAILABLE, S3_THROTTLED}},
        {"InternalError", {ERR_UNAVAILABLE, S3_AGAIN}},
        {"ServiceUnavailable", {ERR_UNAVAILABLE, S3_AGAIN}},
        {"RequestTimeout", {ERR_UNAVAILABLE, S3_AGAIN}},
        {"IncompleteBody", {ERR_UNAVAILABLE, S3_AGAIN}},
        {"BadDigest", {ERR_UNAVAILABLE, S3_AGAIN}}, // changed on the way
        {"XAmzContentSHA256Mismatch", {ERR_UNAVAILABLE, S3_AGAIN}},
        {"ExpiredToken", {ERR_UNAVAILABLE, S3_RENEW}},
        {"InvalidToken", {ERR_UNAVAILABLE, S3_RENEW}},
        {"InvalidAccessKeyId", {ERR_UNAVAILABLE, S3_RENEW}},
        {"SignatureDoesNotMatch", {ERR_UNAVAILABLE, S3_RENEW}},
        {"QuotaExceeded", {ERR_INSUFFICIENT_STORAGE, S3_FINAL}},
        {"XMinioStorageFull", {ERR_INSUFFICIENT_STORAGE, S3_FINAL}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (strcmp(codes[i].code, code) == 0) {
            *meaning = codes[i].meaning;
            return true;
        }
    }
    return false;
}

static struct meaning of_status(const struct s3_request *request, int status)
{
    switch (status) {
    case 404: // of the bucket it is no blob that is missing
        return (struct meaning){
            request->key != NULL ? ERR_BLOB_NOT_FOUND : ERR_UNAVAILABLE, S3_FINAL};
    case 429:
        return (struct meaning){ERR_UNAVAILABLE, S3_THROTTLED};
    case 408:
    case 500:
    case 502:
    case 503:
    case 504:
        return (struct meaning){ERR_UNAVAILABLE, S3_AGAIN};
    case 507:
        return (struct meaning){ERR_INSUFFICIENT_STORAGE, S3_FINAL};
    default:
        return (struct meaning){ERR_UNAVAILABLE, S3_FINAL};
    }
}

static void count_failure(struct s3_client *client, enum s3_verdict verdict, int status)
{
    if (verdict == S3_THROTTLED)
        atomic_fetch_add(&client->failed_throttled, 1);
    else if (status >= 500 || status < 300)
        atomic_fetch_add(&client->failed_server, 1);
    else if (status != 404)
        atomic_fetch_add(&client->failed_refused, 1);
}

static const char *name_of(const struct s3_request *request)
{
    return request->key != NULL ? request->key : "the bucket";
}

static enum err refuse(struct s3_client *client, const struct s3_request *request,
                       struct s3_answer *answer, enum s3_verdict *verdict,
                       struct error *e)
{
    struct meaning meaning;
    const struct s3_failure *failure = &answer->failure;
    if (!find_code(failure->code, &meaning))
        meaning = of_status(request, answer->http.status);
    *verdict = meaning.verdict;
    count_failure(client, meaning.verdict, answer->http.status);
    return error_set(e, meaning.err, "S3 %s %s: %d %s%s%s", request->method,
                     name_of(request), answer->http.status,
                     failure->code[0] != '\0' ? failure->code : "(no code)",
                     failure->message[0] != '\0' ? ": " : "", failure->message);
}

// ---- ranges ---------------------------------------------------------------------

// "bytes 5-9/10", of exactly what was asked for as far as the object goes.
static bool is_range_of(const char *text, const struct s3_range *range, bool *past_end)
{
    uint64_t first, last, total;
    int end = 0;
    if (sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64 "%n", &first, &last,
               &total, &end) != 3 ||
        text[end] != '\0')
        return false;
    uint64_t wanted = range->offset + range->size - 1;
    *past_end = total <= wanted;
    return first == range->offset + range->done &&
           last == (*past_end ? total - 1 : wanted) && total > first;
}

static enum err check_range(struct s3_try *try, const struct http_response *response,
                            struct error *e)
{
    const struct s3_range *range = try->request->range;
    const char *said = http_response_header(response, "content-range");
    const char *length = http_response_header(response, "content-length");
    if (response->status == 206 && said != NULL &&
        is_range_of(said, range, &try->is_past_end))
        return ERR_NONE;
    // The whole object, which is what was asked for.
    if (response->status == 200 && range->offset == 0 && range->done == 0 &&
        length != NULL && strtoull(length, NULL, 10) == range->size)
        return ERR_NONE;
    return error_set(e, ERR_UNAVAILABLE, "S3 GET %s: another range came: %d %s",
                     try->request->key, response->status, said != NULL ? said : "");
}

struct taking {
    struct s3_client *client;
    struct s3_try *try;
    bool is_checked;
};

static enum err take_bytes(void *context, const struct http_response *response,
                           const void *bytes, size_t size, struct error *e)
{
    struct taking *taking = context;
    struct s3_range *range = taking->try->request->range;
    enum err err =
        taking->is_checked ? ERR_NONE : check_range(taking->try, response, e);
    taking->is_checked = true;
    if (err == ERR_NONE && size > range->size - range->done)
        err = error_set(e, ERR_UNAVAILABLE, "S3 GET %s: more came than was asked for",
                        taking->try->request->key);
    if (err != ERR_NONE)
        return err;
    memcpy(range->bytes + range->done, bytes, size);
    range->done += size;
    atomic_fetch_add(&taking->client->received_bytes, (long long)size);
    return ERR_NONE;
}

static enum err check_whole(struct s3_client *client, struct s3_try *try,
                            enum s3_verdict *verdict, struct error *e)
{
    const struct s3_range *range = try->request->range;
    if (range->done == range->size)
        return ERR_NONE;
    if (try->is_past_end) {
        *verdict = S3_FINAL;
        return error_set(e, ERR_UNAVAILABLE,
                         "S3 GET %s: the object ends before %" PRIu64,
                         try->request->key, range->offset + range->size);
    }
    *verdict = S3_AGAIN;
    atomic_fetch_add(&client->failed_network, 1);
    return error_set(e, ERR_UNAVAILABLE, "S3 GET %s: the body was cut short",
                     try->request->key);
}

// ---- sending --------------------------------------------------------------------

// What is signed, sorted by name, and what of it stands in buffers.
struct headers {
    struct http_header list[S3_HEADERS_MAXIMUM + 5];
    size_t count;
    char date[S3_DATE_SIZE];
    char range[64];
};

static void add(struct headers *headers, const char *name, const char *value)
{
    assert(headers->count < ARRAY_SIZE(headers->list));
    headers->list[headers->count++] = (struct http_header){name, value};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct http_header *)a)->name,
                  ((const struct http_header *)b)->name);
}

static void gather_headers(struct s3_client *client, const struct s3_try *try,
                           struct headers *headers)
{
    const struct s3_request *request = try->request;
    const struct s3_range *range = request->range;
    headers->count = 0;
    s3_sign_date(clock_wall_us(), headers->date);
    add(headers, "host", client->host);
    add(headers, "x-amz-content-sha256", try->payload);
    add(headers, "x-amz-date", headers->date);
    if (try->credentials.session_token != NULL)
        add(headers, "x-amz-security-token", try->credentials.session_token);
    if (range != NULL) {
        snprintf(headers->range, sizeof headers->range, "bytes=%" PRIu64 "-%" PRIu64,
                 range->offset + range->done, range->offset + range->size - 1);
        add(headers, "range", headers->range);
    }
    for (size_t i = 0; i < request->header_count; i++)
        add(headers, request->headers[i].name, request->headers[i].value);
    qsort(headers->list, headers->count, sizeof *headers->list, by_name);
}

// The URL's path as it is signed.
static void put_path(struct s3_client *client, const struct s3_request *request,
                     struct buf *path)
{
    buf_puts(path, client->path);
    buf_putc(path, '/');
    if (request->key != NULL)
        http_url_append(path, request->key, true);
}

static int64_t stall_ms(const struct s3_client *client, const struct s3_try *try,
                        int64_t left_ms)
{
    int64_t stall = client->options.timeout_ms / STALL_SHARE;
    if (try->request->is_slow)
        return left_ms / 2; // and once more
    return stall < STALL_MINIMUM_MS ? STALL_MINIMUM_MS : stall;
}

static enum err send_it(struct s3_client *client, struct s3_try *try,
                        struct s3_answer *answer, struct error *e)
{
    const struct s3_request *request = try->request;
    CLEANUP(buf_clear) struct buf path = {0}, url = {0}, authorization = {0};
    struct headers headers;
    gather_headers(client, try, &headers);
    put_path(client, request, &path);
    const char *query = request->query != NULL ? request->query : "";
    s3_sign(&(struct s3_to_sign){.method = request->method,
                                 .path = buf_text(&path),
                                 .query = query,
                                 .headers = headers.list,
                                 .header_count = headers.count,
                                 .payload = try->payload,
                                 .date = headers.date,
                                 .region = client->region},
            &try->credentials, &authorization);
    add(&headers, "Authorization", buf_text(&authorization));
    buf_printf(&url, "%s%s%s%s", client->base, buf_text(&path), *query ? "?" : "",
               query);
    struct taking taking = {.client = client, .try = try};
    int64_t left_ms = try->deadline_ms - clock_monotonic_ms();
    left_ms = left_ms > 1 ? left_ms : 1;
    struct http_request http = {
        .method = request->method,
        .url = buf_text(&url),
        .headers = headers.list,
        .header_count = headers.count,
        .body = request->body,
        .body_size = request->body_size,
        .write = request->range != NULL ? take_bytes : NULL,
        .context = &taking,
        .response_maximum = request->answer_maximum,
        .timeout_ms = left_ms,
        .stall_timeout_ms = stall_ms(client, try, left_ms),
        .cancel = try->cancel,
    };
    return http_pool_run(client->pool, &http, &answer->http, e);
}

static void count_bytes(struct s3_client *client, const struct s3_try *try,
                        const struct s3_answer *answer)
{
    atomic_fetch_add(&client->sent_bytes, (long long)try->request->body_size);
    atomic_fetch_add(&client->received_bytes, (long long)answer->http.body.size);
}

enum err s3_try_run(struct s3_client *client, struct s3_try *try,
                    struct s3_answer *answer, enum s3_verdict *verdict, struct error *e)
{
    *verdict = S3_FINAL;
    try->is_past_end = false;
    memset(&answer->failure, 0, sizeof answer->failure);
    atomic_fetch_add(&client->requests, 1);
    enum err err = send_it(client, try, answer, e);
    const struct s3_range *range = try->request->range;
    if (err != ERR_NONE && range != NULL && range->done == range->size) {
        error_clear(e); // cut after the last byte
        *verdict = S3_DONE;
        return ERR_NONE;
    }
    if (err != ERR_NONE) {
        *verdict = err == ERR_UNAVAILABLE ? S3_AGAIN : S3_FINAL;
        atomic_fetch_add(&client->failed_network, 1);
        return err;
    }
    count_bytes(client, try, answer);
    const struct buf *body = &answer->http.body;
    bool good = answer->http.status >= 200 && answer->http.status < 300;
    if (!good || try->request->may_fail_late)
        s3_failure_parse(body->data, body->size, &answer->failure);
    if (!good || answer->failure.code[0] != '\0')
        return refuse(client, try->request, answer, verdict, e);
    *verdict = S3_DONE;
    return range != NULL ? check_whole(client, try, verdict, e) : ERR_NONE;
}
