// SPDX-License-Identifier: Apache-2.0
#include "common/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define DEFAULT_HANDLES 8
#define DEFAULT_WAIT_MS 30000
#define DEFAULT_CONNECT_MS 10000
#define DEFAULT_STALL_MS 60000
#define DEFAULT_BODY_MAXIMUM ((size_t)16 << 20)
#define HEAD_MAXIMUM ((size_t)64 << 10)
#define EXPECT_MINIMUM ((uint64_t)1 << 20)
#define BUFFER_BYTES 524288L // of each handle and direction; fewer, larger callbacks

struct http_pool {
    struct http_pool_options options;
    char *user_agent;
    char *ca_file;
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    CURL **idle;
    size_t idle_count;
    size_t made;
};

// One request under way.
struct exchange {
    const struct http_request *request;
    struct http_response *response;
    struct error *e;
    enum err err; // what a callback returned
    uint64_t offset;
    char text[CURL_ERROR_SIZE];
    int64_t stall_ms;
    curl_off_t moved; // bytes, at moved_ms
    int64_t moved_ms; // 0: not yet looked
    char stalled[64]; // why it ended
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    assert(code == CURLE_OK);
    (void)code;
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

struct http_pool *http_pool_new(const struct http_pool_options *options)
{
    pthread_once(&global_once, global_init);
    struct http_pool *pool = alloc_zero(sizeof *pool);
    pool->options = (struct http_pool_options){
        .handles = options->handles > 0 ? options->handles : DEFAULT_HANDLES,
        .wait_ms = or_default(options->wait_ms, DEFAULT_WAIT_MS),
        .connect_timeout_ms =
            or_default(options->connect_timeout_ms, DEFAULT_CONNECT_MS),
        .stall_timeout_ms = or_default(options->stall_timeout_ms, DEFAULT_STALL_MS),
    };
    pool->user_agent =
        alloc_copy(options->user_agent != NULL ? options->user_agent : "strata");
    pool->ca_file = alloc_copy(options->ca_file);
    pool->idle = alloc_array(pool->options.handles, sizeof *pool->idle);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->freed, &attributes);
    pthread_condattr_destroy(&attributes);
    return pool;
}

void http_pool_free(struct http_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->idle_count == pool->made);
    for (size_t i = 0; i < pool->idle_count; i++)
        curl_easy_cleanup(pool->idle[i]);
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->idle);
    free(pool->ca_file);
    free(pool->user_agent);
    free(pool);
}

static CURL *handle_take(struct http_pool *pool)
{
    struct timespec deadline = clock_deadline(clock_monotonic_ms() +
                                              pool->options.wait_ms);
    LOCK_SCOPE(&pool->mutex);
    int rc = 0;
    while (pool->idle_count == 0 && pool->made == pool->options.handles && rc == 0)
        rc = pthread_cond_timedwait(&pool->freed, &pool->mutex, &deadline);
    if (pool->idle_count > 0)
        return pool->idle[--pool->idle_count];
    if (pool->made == pool->options.handles)
        return NULL;
    CURL *handle = curl_easy_init();
    if (handle != NULL)
        pool->made++;
    return handle;
}

static void handle_give(struct http_pool *pool, CURL *handle)
{
    curl_easy_reset(handle); // keeps the open connections
    LOCK_SCOPE(&pool->mutex);
    pool->idle[pool->idle_count++] = handle;
    pthread_cond_signal(&pool->freed);
}

static size_t on_header(char *line, size_t one, size_t size, void *context)
{
    struct exchange *x = context;
    struct http_response *response = x->response;
    size_t total = one * size;
    if (total > 5 && strncmp(line, "HTTP/", 5) == 0) { // 100 Continue, then the answer
        const char *space = memchr(line, ' ', total);
        response->status = space != NULL ? atoi(space + 1) : 0;
        buf_reset(&response->head);
        return total;
    }
    size_t length = total;
    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == '\n'))
        length--;
    if (length == 0)
        return total;
    if (buf_append(&response->head, line, length) && buf_putc(&response->head, '\0'))
        return total;
    x->err = error_set(x->e, ERR_UNAVAILABLE, "the answer's headers are too long");
    return 0;
}

static size_t on_write(char *bytes, size_t one, size_t size, void *context)
{
    struct exchange *x = context;
    struct http_response *response = x->response;
    size_t total = one * size;
    bool good = response->status >= 200 && response->status < 300;
    if (good && x->request->write != NULL) {
        x->err = x->request->write(x->request->context, response, bytes, total, x->e);
        return x->err == ERR_NONE ? total : 0;
    }
    if (buf_append(&response->body, bytes, total))
        return total;
    x->err = error_set(x->e, ERR_UNAVAILABLE, "the answer is longer than %zu bytes",
                       response->body.maximum);
    return 0;
}

static size_t on_read(char *bytes, size_t one, size_t room, void *context)
{
    struct exchange *x = context;
    const struct http_request *request = x->request;
    uint64_t left = request->body_size - x->offset;
    size_t size = one * room < left ? one * room : (size_t)left;
    if (size == 0)
        return 0;
    if (request->read != NULL) {
        x->err = request->read(request->context, x->offset, bytes, size, &size, x->e);
        if (x->err != ERR_NONE)
            return CURL_READFUNC_ABORT;
    } else {
        memcpy(bytes, (const char *)request->body + x->offset, size);
    }
    x->offset += size;
    return size;
}

// libcurl starts a body again when a kept connection turns out to be dead.
static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct exchange *x = context;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    x->offset = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool is_cancelled(const struct http_request *request)
{
    return request->cancel != NULL &&
           atomic_load_explicit(request->cancel, memory_order_relaxed);
}

// libcurl's own limit of low speed looks at the mean of five seconds, and so calls a
// connection that went silent after a burst a busy one.
static int on_progress(void *context, curl_off_t down_total, curl_off_t down,
                       curl_off_t up_total, curl_off_t up)
{
    (void)down_total, (void)up_total;
    struct exchange *x = context;
    if (is_cancelled(x->request))
        return 1;
    int64_t now_ms = clock_monotonic_ms();
    if (down + up != x->moved || x->moved_ms == 0) {
        x->moved = down + up;
        x->moved_ms = now_ms;
    }
    if (now_ms - x->moved_ms < x->stall_ms)
        return 0;
    snprintf(x->stalled, sizeof x->stalled, "no byte came or went for %" PRId64 " ms",
             x->stall_ms);
    return 1;
}

// A proxy of the environment must never stand between two processes of one machine.
static bool is_loopback(const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool loopback = false;
    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        loopback = strcasecmp(host, "localhost") == 0 ||
                   strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
    }
    curl_free(host);
    curl_url_cleanup(parts);
    return loopback;
}

static void set_connection(CURL *handle, const struct http_pool *pool,
                           const struct http_request *request)
{
    const struct http_pool_options *options = &pool->options;
    curl_easy_setopt(handle, CURLOPT_URL, request->url);
    curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L); // as it was signed
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, pool->user_agent);
    curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)options->connect_timeout_ms);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (pool->ca_file != NULL)
        curl_easy_setopt(handle, CURLOPT_CAINFO, pool->ca_file);
    if (is_loopback(request->url))
        curl_easy_setopt(handle, CURLOPT_PROXY, "");
}

static bool takes_body(const struct http_request *request)
{
    return request->body_size > 0 || strcmp(request->method, "PUT") == 0 ||
           strcmp(request->method, "POST") == 0 ||
           strcmp(request->method, "PATCH") == 0;
}

static void set_exchange(CURL *handle, struct exchange *x)
{
    const struct http_request *request = x->request;
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
    if (takes_body(request)) {
        curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)request->body_size);
        curl_easy_setopt(handle, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(handle, CURLOPT_READDATA, x);
        curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(handle, CURLOPT_SEEKDATA, x);
    }
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, x->text);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, x);
}

static struct curl_slist *header_list(const struct http_request *request)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        // libcurl wants a header without a value to end in a semicolon.
        bool empty = header->value[0] == '\0';
        AUTO_FREE char *line = alloc_printf("%s%s%s", header->name, empty ? ";" : ": ",
                                            header->value);
        list = curl_slist_append(list, line);
        assert(list != NULL);
    }
    // libcurl asks before every body; for a small one that costs more than it saves.
    if (takes_body(request) && request->body_size < EXPECT_MINIMUM)
        list = curl_slist_append(list, "Expect:");
    return list;
}

// What libcurl reports, as an error of ours; the one place.
static enum err translate(CURLcode code, const struct exchange *x)
{
    if (x->err != ERR_NONE)
        return x->err;
    if (code == CURLE_OK)
        return ERR_NONE;
    const char *why = x->stalled[0] != '\0' ? x->stalled
                      : x->text[0] != '\0'  ? x->text
                                            : curl_easy_strerror(code);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return error_set(x->e, ERR_BAD_REQUEST, "%s: %s", x->request->url, why);
    enum err err = error_set(x->e, ERR_UNAVAILABLE, "%s %s: %s", x->request->method,
                             x->request->url, why);
    bool unsent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                  code == CURLE_COULDNT_RESOLVE_PROXY ||
                  code == CURLE_SSL_CONNECT_ERROR ||
                  code == CURLE_PEER_FAILED_VERIFICATION;
    error_add(x->e, "sent", json_boolean(!unsent));
    return err;
}

static enum err not_sent(const char *why, struct error *e)
{
    enum err err = error_set(e, ERR_UNAVAILABLE, "%s", why);
    error_add(e, "sent", json_false());
    return err;
}

enum err http_pool_run(struct http_pool *pool, const struct http_request *request,
                       struct http_response *response, struct error *e)
{
    http_response_clear(response);
    buf_init(&response->head, HEAD_MAXIMUM);
    buf_init(&response->body, request->response_maximum > 0 ? request->response_maximum
                                                            : DEFAULT_BODY_MAXIMUM);
    CURL *handle = handle_take(pool);
    if (handle == NULL)
        return not_sent("no free connection in time", e);
    if (is_cancelled(request)) { // while it waited
        handle_give(pool, handle);
        return not_sent("cancelled", e);
    }
    struct exchange x = {
        .request = request,
        .response = response,
        .e = e,
        .stall_ms =
            or_default(request->stall_timeout_ms, pool->options.stall_timeout_ms),
    };
    struct curl_slist *headers = header_list(request);
    set_connection(handle, pool, request);
    set_exchange(handle, &x);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(handle);
    handle_give(pool, handle);
    curl_slist_free_all(headers);
    return translate(code, &x);
}

void http_response_clear(struct http_response *response)
{
    buf_clear(&response->head);
    buf_clear(&response->body);
    response->status = 0;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    size_t length = strlen(name);
    const char *line = response->head.data;
    const char *end = line + response->head.size;
    for (; line != NULL && line < end; line += strlen(line) + 1) {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *value = line + length + 1;
        return value + strspn(value, " \t");
    }
    return NULL;
}

bool http_url_append(struct buf *url, const char *text, bool keep_slashes)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    for (; *text != '\0'; text++) {
        bool keep = strchr(plain, *text) != NULL || (*text == '/' && keep_slashes);
        if (!(keep ? buf_putc(url, *text)
                   : buf_printf(url, "%%%02X", (unsigned)(unsigned char)*text)))
            return false;
    }
    return true;
}
