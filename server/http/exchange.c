// SPDX-License-Identifier: Apache-2.0
#include "server/http/exchange.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/metrics.h"
#include "server/api/auth.h"
#include "server/http/head.h"
#include "server/http/json_body.h"
#include "server/http/router.h"

#define JSON_BODY_DEFAULT ((size_t)1 << 20)
// A body that is not wanted is read to its end up to here, so that the answer arrives;
// beyond it the answer is sent at once and the connection closed.
#define DISCARD_MAXIMUM ((uint64_t)64 << 20)
// Logged and counted where the client went away before there was an answer.
#define STATUS_CLIENT_CLOSED 499

struct exchange *exchange_new(struct http_server *server, const char *target)
{
    struct exchange *x = alloc_zero(sizeof *x);
    x->server = server;
    x->target = alloc_copy(target);
    x->target_read = target;
    x->started_us = clock_monotonic_us();
    x->request.app = server->app;
    x->request.content_length = -1;
    response_init(&x->response);
    x->response.status = STATUS_CLIENT_CLOSED;
    return x;
}

static bool id_is_valid(const char *id)
{
    size_t length = id != NULL ? strlen(id) : 0;
    if (length < 1 || length >= REQUEST_ID_SIZE)
        return false;
    for (; *id != '\0'; id++) {
        if (!isalnum((unsigned char)*id) && strchr("._-", *id) == NULL)
            return false;
    }
    return true;
}

// No two alike, of this process or of others; nothing is kept secret by it.
static void make_id(struct http_server *server, char id[REQUEST_ID_SIZE])
{
    hex_encode(server->id_prefix, sizeof server->id_prefix, id);
    unsigned number = (unsigned)atomic_fetch_add(&server->ids, 1);
    snprintf(id + 2 * sizeof server->id_prefix, 9, "%08x", number);
}

static void take_id(struct exchange *x)
{
    const char *given = request_header(&x->request, "X-Request-Id");
    if (id_is_valid(given)) {
        memcpy(x->id, given, strlen(given) + 1);
    } else {
        make_id(x->server, x->id);
    }
    x->request.id = x->id;
    log_set_request(x->id);
}

// RFC 9110, section 5.6.2. Above all nothing like `Content-Length ` with a space, by
// which a proxy and this server would see different bodies.
static bool is_token(const char *name)
{
    static const char other[] = "!#$%&'*+-.^_`|~";
    const char *c = name;
    while (isalnum((unsigned char)*c) || (*c != '\0' && strchr(other, *c) != NULL))
        c++;
    return c != name && *c == '\0';
}

static enum MHD_Result take_header(void *context, enum MHD_ValueKind kind,
                                   const char *name, const char *value)
{
    (void)kind;
    struct exchange *x = context;
    if (x->request.headers_count == EXCHANGE_HEADERS_MAXIMUM) {
        error_set(&x->error, ERR_HEADERS_TOO_LARGE, "more than %d headers",
                  EXCHANGE_HEADERS_MAXIMUM);
        x->must_close = true;
        return MHD_NO;
    }
    if (!is_token(name)) {
        error_set(&x->error, ERR_BAD_REQUEST, "a header's name is malformed");
        x->must_close = true;
        return MHD_NO;
    }
    x->headers[x->request.headers_count++] =
        (struct request_pair){name, value != NULL ? value : ""};
    return MHD_YES;
}

static size_t count_header(const struct exchange *x, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < x->request.headers_count; i++)
        count += strcasecmp(x->headers[i].name, name) == 0;
    return count;
}

// The body's length must be said once and in one way (RFC 9112 section 6.3).
static enum err check_framing(struct exchange *x, struct error *e)
{
    size_t lengths = count_header(x, "Content-Length");
    size_t codings = count_header(x, "Transfer-Encoding");
    const char *coding = request_header(&x->request, "Transfer-Encoding");
    const char *length = request_header(&x->request, "Content-Length");
    x->must_close = true;
    if (lengths + codings > 1)
        return error_set(e, ERR_BAD_REQUEST, "the body's length is given twice");
    if (codings == 1 && strcasecmp(coding, "chunked") != 0)
        return error_set(e, ERR_BAD_REQUEST, "only chunked is understood");
    if (lengths == 1) {
        size_t digits = strspn(length, "0123456789");
        if (digits == 0 || digits > 18 || length[digits] != '\0')
            return error_set(e, ERR_BAD_REQUEST, "Content-Length is not a length");
        x->request.content_length = strtoll(length, NULL, 10);
    }
    if (count_header(x, "Host") > 1)
        return error_set(e, ERR_BAD_REQUEST, "Host is given twice");
    x->must_close = false;
    return ERR_NONE;
}

static bool has_body(const struct exchange *x)
{
    return x->request.content_length > 0 ||
           request_header(&x->request, "Transfer-Encoding") != NULL;
}

static bool is_word_of(const char *word, const char *list)
{
    size_t length = strlen(word);
    while (list != NULL && *list != '\0') {
        size_t item = strcspn(list, " ");
        if (item == length && strncmp(list, word, length) == 0)
            return true;
        list += item + (list[item] == ' ');
    }
    return false;
}

static enum err find_route(struct exchange *x, const char *method, struct error *e)
{
    char *path, *query;
    enum err err = target_split(x->target, &path, &query, e);
    if (err != ERR_NONE)
        return err;
    x->request.raw_path = path;
    err = router_find(&x->request, method, path, &x->route, x->allow, e);
    if (err != ERR_NONE)
        return err;
    err = target_parse_query(&x->request, query, x->query, &x->request.query_count, e);
    x->request.query = x->query;
    return err;
}

static enum err check_query(const struct exchange *x, struct error *e)
{
    for (size_t i = 0; i < x->request.query_count; i++) {
        if (!is_word_of(x->query[i].name, x->route->query))
            return error_set_field(e, ERR_BAD_QUERY, x->query[i].name,
                                   "the parameter is not known here");
    }
    return ERR_NONE;
}

static enum err authorize(struct exchange *x, struct error *e)
{
    enum role needed = x->route->role;
    if (needed == ROLE_NONE)
        return ERR_NONE;
    if (count_header(x, "Authorization") > 1)
        return error_set(e, ERR_BAD_REQUEST, "Authorization is given twice");
    const char *header = request_header(&x->request, "Authorization");
    enum err err = auth_identify(x->server->app->auth, header, &x->request.who, e);
    if (err == ERR_NONE && x->request.who.role < needed)
        return error_set(e, ERR_FORBIDDEN, "this needs the role %s; the token has %s",
                         role_name(needed), role_name(x->request.who.role));
    return err;
}

static bool is_json_route(const struct route *route)
{
    return route->body == BODY_JSON || route->body == BODY_JSON_OPTIONAL;
}

static size_t json_limit(const struct route *route)
{
    return route->body_limit > 0 ? route->body_limit : JSON_BODY_DEFAULT;
}

// `application/json`, for PATCH also `application/merge-patch+json`, with or without
// parameters.
static bool is_json_type(const char *type, const char *method)
{
    static const char *const allowed[] = {"application/json",
                                          "application/merge-patch+json"};
    size_t length = type != NULL ? strcspn(type, "; \t") : 0;
    size_t count = strcmp(method, "PATCH") == 0 ? ARRAY_SIZE(allowed) : 1;
    for (size_t i = 0; i < count; i++) {
        if (strlen(allowed[i]) == length && strncasecmp(type, allowed[i], length) == 0)
            return true;
    }
    return false;
}

static enum err check_body(struct exchange *x, struct error *e)
{
    const struct route *route = x->route;
    if (route->body == BODY_STREAM && x->request.content_length < 0)
        return error_set(e, ERR_LENGTH_REQUIRED, "a Content-Length is required here");
    if (route->body == BODY_NONE && has_body(x))
        return error_set(e, ERR_BAD_REQUEST, "no body is expected here");
    if (!is_json_route(route))
        return ERR_NONE;
    if (x->request.content_length > (int64_t)json_limit(route))
        return error_set(e, ERR_BODY_TOO_LARGE, "at most %zu bytes are taken here",
                         json_limit(route));
    const char *type = request_header(&x->request, "Content-Type");
    if (has_body(x) && !is_json_type(type, route->method))
        return error_set(e, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "the Content-Type must be application/json");
    buf_init(&x->body, json_limit(route));
    return ERR_NONE;
}

// Leaves room for those that watch the server when its threads run out.
static enum err check_load(const struct exchange *x, struct error *e)
{
    int64_t limit = x->server->app->config->connections;
    int64_t reserve = limit / 20 + 1;
    if (x->route->role != ROLE_NONE &&
        (int64_t)atomic_load(&x->server->connections) > limit - reserve)
        return error_set(e, ERR_UNAVAILABLE, "all connections are taken");
    return ERR_NONE;
}

static enum err begin_steps(struct exchange *x, const char *method, struct error *e)
{
    enum err err = check_framing(x, e);
    if (err == ERR_NONE)
        err = find_route(x, method, e);
    if (err == ERR_NONE)
        err = check_load(x, e);
    if (err == ERR_NONE)
        err = authorize(x, e);
    if (err == ERR_NONE)
        err = check_query(x, e);
    if (err == ERR_NONE)
        err = check_body(x, e);
    if (err != ERR_NONE || x->route->body != BODY_STREAM)
        return err;
    err = x->route->begin(&x->request, &x->sink, &x->response, e);
    x->sink_open = err == ERR_NONE && x->sink.write != NULL;
    return err;
}

// Later versions than these have a judgement of their own, and may lay the texts out in
// another way.
static bool is_known_layout(void)
{
    const char *version = MHD_get_version();
    return strcmp(version, "0.9.75") == 0 || strcmp(version, "0.9.76") == 0;
}

static enum err check_head(struct exchange *x, const char *method, const char *version,
                           struct error *e)
{
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const struct head head = {
        .method = method,
        .target = x->target_read,
        .target_length = strlen(x->target),
        .version = version,
        .headers = x->headers,
        .headers_count = x->request.headers_count,
        .end = size != NULL ? method + size->header_size : NULL,
    };
    x->must_close = true;
    if (is_known_layout() && !head_is_plain(&head))
        return error_set(e, ERR_BAD_REQUEST, "the head has a malformed line");
    if (strcmp(version, "HTTP/1.0") != 0 && count_header(x, "Host") == 0)
        return error_set(e, ERR_BAD_REQUEST, "there is no Host");
    x->must_close = false;
    return ERR_NONE;
}

void exchange_begin(struct exchange *x, const char *method, const char *version)
{
    x->started = true;
    atomic_fetch_add(&x->server->active, 1);
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, take_header, x);
    x->request.headers = x->headers;
    x->request.is_head = strcmp(method, "HEAD") == 0;
    x->request.method = x->request.is_head ? "GET" : method;
    take_id(x);
    if (x->error.code == ERR_NONE)
        x->error.code = check_head(x, method, version, &x->error);
    if (x->error.code == ERR_NONE)
        x->error.code = begin_steps(x, method, &x->error);
}

bool exchange_must_answer_early(const struct exchange *x)
{
    if (x->must_close)
        return true;
    if (x->error.code == ERR_NONE || !has_body(x))
        return false;
    return request_header(&x->request, "Expect") != NULL ||
           x->request.content_length > (int64_t)DISCARD_MAXIMUM;
}

static void close_sink(struct exchange *x)
{
    if (x->sink_open)
        x->sink.abort(x->sink.context);
    x->sink_open = false;
}

void exchange_note_transfer(struct exchange *x)
{
    if (x->is_transfer)
        return;
    x->is_transfer = true;
    atomic_fetch_add(&x->server->transfers, 1);
}

void exchange_body(struct exchange *x, const void *bytes, size_t size)
{
    x->received += size;
    if (x->received > TRANSFER_MINIMUM)
        exchange_note_transfer(x);
    if (x->error.code != ERR_NONE)
        return;
    if (x->sink_open) {
        x->error.code = x->sink.write(x->sink.context, bytes, size, &x->error);
        if (x->error.code != ERR_NONE)
            close_sink(x);
    } else if (is_json_route(x->route) && !buf_append(&x->body, bytes, size)) {
        error_set(&x->error, ERR_BODY_TOO_LARGE, "at most %zu bytes are taken here",
                  json_limit(x->route));
        buf_clear(&x->body);
    }
}

bool exchange_is_endless(const struct exchange *x)
{
    return x->error.code != ERR_NONE && x->received > DISCARD_MAXIMUM &&
           x->request.content_length < 0;
}

static enum err parse_json(struct exchange *x, struct error *e)
{
    struct request *request = &x->request;
    if (x->body.size == 0 && x->route->body == BODY_JSON_OPTIONAL)
        return ERR_NONE;
    enum err err = json_body_parse(buf_text(&x->body), x->body.size, &request->body, e);
    if (err != ERR_NONE)
        return err;
    request->body_text = buf_text(&x->body);
    request->body_size = x->body.size;
    return ERR_NONE;
}

static enum err handle(struct exchange *x, struct error *e)
{
    if (x->sink_open) {
        enum err err = x->sink.finish(x->sink.context, &x->request, &x->response, e);
        if (err == ERR_NONE)
            x->sink_open = false;
        close_sink(x);
        return err;
    }
    if (x->route->body == BODY_STREAM) // answered by begin
        return ERR_NONE;
    if (is_json_route(x->route)) {
        enum err err = parse_json(x, e);
        if (err != ERR_NONE)
            return err;
    }
    return x->route->handler(&x->request, &x->response, e);
}

static void add_error_headers(struct exchange *x)
{
    int status = error_status(x->error.code);
    if (status == 401)
        response_header(&x->response, "WWW-Authenticate", "Bearer");
    if (status == 405)
        response_header(&x->response, "Allow", x->allow);
    if (status == 503 || status == 429)
        response_header(&x->response, "Retry-After", "1");
}

void exchange_respond(struct exchange *x)
{
    // What begin filled in has its own status already.
    if (x->response.status == STATUS_CLIENT_CLOSED)
        x->response.status = 200;
    if (x->error.code == ERR_NONE)
        x->error.code = handle(x, &x->error);
    close_sink(x);
    if (x->error.code != ERR_NONE) {
        response_problem(&x->response, &x->error, x->id);
        add_error_headers(x);
    }
    response_header(&x->response, "X-Request-Id", x->id);
    // libmicrohttpd is lenient about where a chunk ends: what follows the last one is
    // not taken for a request.
    bool is_chunked = request_header(&x->request, "Transfer-Encoding") != NULL;
    if (x->must_close || is_chunked || atomic_load(&x->server->quiescing))
        response_header(&x->response, "Connection", "close");
}

static void log_request(const struct exchange *x, int64_t duration_us)
{
    int status = x->response.status;
    bool is_quiet = x->route != NULL && x->route->role == ROLE_NONE && status < 400;
    enum log_level level = status >= 500 ? LOG_LEVEL_ERROR
                           : is_quiet    ? LOG_LEVEL_DEBUG
                                         : LOG_LEVEL_INFO;
    log_write(level, "request", "method",
              x->request.is_head ? "HEAD" : x->request.method, "path",
              x->request.raw_path != NULL ? x->request.raw_path : "-", "status",
              log_number(status), "us", log_number(duration_us), "in",
              log_number((long long)x->received), "out", log_number((long long)x->sent),
              "principal",
              x->request.who.principal[0] != '\0' ? x->request.who.principal : "-",
              x->error.code != ERR_NONE ? "error" : NULL, x->error.detail, NULL);
}

void exchange_finish(struct exchange *x)
{
    if (x->started) {
        close_sink(x);
        int64_t duration_us = clock_monotonic_us() - x->started_us;
        size_t route = x->route != NULL ? (size_t)(x->route - routes) : routes_count;
        metrics_request(x->server->app->metrics, route, x->response.status, duration_us,
                        x->received, x->sent);
        log_request(x, duration_us);
        log_set_request(NULL);
        if (x->is_transfer) {
            atomic_store(&x->server->transferred_ms, clock_monotonic_ms());
            atomic_fetch_sub(&x->server->transfers, 1);
        }
        atomic_fetch_sub(&x->server->active, 1);
    }
    response_clear(&x->response);
    request_clear(&x->request);
    error_clear(&x->error);
    buf_clear(&x->body);
    free(x->target);
    free(x);
}
