// SPDX-License-Identifier: Apache-2.0
#include "server/http/server.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "server/http/exchange.h"
#include "server/http/homes.h"
#include "server/http/listener.h"

#define THREAD_STACK_SIZE ((size_t)512 << 10)
// A larger answer may not fit at once in what the kernel keeps for the client.
#define LARGE_ANSWER ((uint64_t)64 << 10)
// From here on the thread that sends it stays on one processor.
#define LONG_ANSWER ((uint64_t)1 << 20)
#define TRANSFER_LINGER_MS 500

static struct link *link_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

static void *on_target(void *context, const char *target,
                       struct MHD_Connection *connection)
{
    struct exchange *x = exchange_new(context, target);
    x->connection = connection;
    x->link = link_of(connection);
    return x;
}

// The exchange decodes the target itself.
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void set_idle_timeout(struct MHD_Connection *connection, int64_t timeout_ms)
{
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)(timeout_ms / 1000));
}

// Sending files, a thread stays where it is; with the bytes of an upload it goes where
// there is room.
static void settle(struct exchange *x)
{
    struct homes *homes = x->server->homes;
    struct link *link = x->link;
    bool takes_bytes = x->route != NULL && x->route->body == BODY_STREAM;
    if (takes_bytes && link->home != HOME_NONE) {
        homes_roam(homes, link->home);
        link->home = HOME_NONE;
    } else if (x->sent >= LONG_ANSWER && link->home == HOME_NONE) {
        link->home = homes_stay(homes);
    }
}

// The reader of a large answer may be slow for longer than a connection may be idle:
// struct watch says how slow.
static enum MHD_Result answer(struct exchange *x)
{
    exchange_respond(x);
    enum MHD_Result result = exchange_send(x);
    x->is_large = x->sent > LARGE_ANSWER;
    if (x->sent > TRANSFER_MINIMUM)
        exchange_note_transfer(x);
    if (x->is_large)
        set_idle_timeout(x->connection, 0);
    settle(x);
    watch_set_phase(x->link->watched, WATCH_ANSWER);
    return result;
}

static enum MHD_Result take(struct exchange *x, const char *method, const char *version,
                            const char *data, size_t *size)
{
    if (!x->started) {
        watch_set_phase(x->link->watched, WATCH_BODY);
        exchange_begin(x, method, version);
        settle(x);
        return exchange_must_answer_early(x) ? answer(x) : MHD_YES;
    }
    if (*size > 0) {
        exchange_body(x, data, *size);
        *size = 0;
        return exchange_is_endless(x) ? MHD_NO : MHD_YES;
    }
    return answer(x);
}

// Called once when the headers are complete, then for each piece of the body, then once
// more at its end. The body is read even where the answer is known, so that the client
// gets to read it (exchange_must_answer_early says where not).
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data, size_t *size,
                                  void **request)
{
    (void)context;
    (void)connection;
    (void)url;
    struct exchange *x = *request;
    watch_set_busy(x->link->watched, true);
    enum MHD_Result result = take(x, method, version, data, size);
    watch_set_busy(x->link->watched, false);
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection,
                         void **request, enum MHD_RequestTerminationCode how)
{
    (void)how;
    const struct http_server *server = context;
    struct exchange *x = *request;
    if (x != NULL && x->is_large)
        set_idle_timeout(connection, server->app->config->idle_timeout_ms);
    if (x != NULL)
        exchange_finish(x);
    *request = NULL;
    watch_set_phase(link_of(connection)->watched, WATCH_HEAD);
}

static void on_connection(void *context, struct MHD_Connection *connection,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    bool started = code == MHD_CONNECTION_NOTIFY_STARTED;
    metrics_add(server->app->metrics, METRIC_HTTP_CONNECTIONS, started ? 1 : -1);
    if (started) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                     ->connect_fd;
        struct link *link = alloc_zero(sizeof *link);
        *link = (struct link){watch_open(server->watch, fd), HOME_NONE};
        *socket_context = link;
        atomic_fetch_add(&server->connections, 1);
    } else {
        struct link *link = *socket_context;
        watch_close(server->watch, link->watched);
        homes_leave(server->homes, link->home);
        free(link);
        atomic_fetch_sub(&server->connections, 1);
    }
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int fd)
{
    const struct config *config = server->app->config;
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC,
        0, NULL, NULL, on_request, server, // clang-format off
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(config->idle_timeout_ms / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)config->connection_memory,
        MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK_SIZE,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_END); // clang-format on
}

static struct watch *new_watch(const struct config *config)
{
    const struct watch_limits limits = {.head_ms = config->head_timeout_ms,
                                        .window_ms = config->idle_timeout_ms,
                                        .rate = (int64_t)config->minimum_rate};
    return watch_new(&limits);
}

enum err http_server_start(const struct app *app, struct http_server **out,
                           struct error *e)
{
    AUTO_FD int fd = -1;
    char *address = NULL;
    enum err err = listener_open(app->config->listen, app->config->tcp_congestion, &fd,
                                 &address, e);
    if (err != ERR_NONE)
        return err;
    struct http_server *server = alloc_zero(sizeof *server);
    server->app = app;
    server->address = address;
    RAND_bytes(server->id_prefix, sizeof server->id_prefix);
    server->watch = new_watch(app->config);
    server->homes = homes_new();
    server->daemon = start_daemon(server, fd);
    if (server->daemon == NULL) {
        watch_free(server->watch);
        homes_free(server->homes);
        free(address);
        free(server);
        return error_set(e, ERR_INTERNAL, "the HTTP server cannot be started");
    }
    steal_fd(&fd); // closed with the daemon, or by http_server_quiesce
    *out = server;
    return ERR_NONE;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

// The kernel has let these clients in; closing the listener would reset them.
static void take_waiting(struct http_server *server, int listener)
{
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
    for (int64_t left = server->app->config->connections; left > 0; left--) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        struct sockaddr *address = (struct sockaddr *)&peer;
        int fd = accept4(listener, address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        MHD_add_connection(server->daemon, fd, address, size); // closes it on failure
    }
}

void http_server_quiesce(struct http_server *server)
{
    atomic_store(&server->quiescing, true);
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd == MHD_INVALID_SOCKET)
        return;
    take_waiting(server, fd);
    close(fd);
}

unsigned http_server_active(const struct http_server *server)
{
    return atomic_load(&server->active);
}

unsigned http_server_transfers(const struct http_server *server)
{
    bool lingers = clock_monotonic_ms() - atomic_load(&server->transferred_ms) <
                   TRANSFER_LINGER_MS;
    return atomic_load(&server->transfers) + lingers;
}

void http_server_step_aside(const struct http_server *server)
{
    homes_avoid(server->homes, http_server_transfers(server) > 0);
}

unsigned http_server_pending(const struct http_server *server)
{
    return watch_pending(server->watch);
}

void http_server_cut_slow(struct http_server *server)
{
    metrics_add(server->app->metrics, METRIC_HTTP_CONNECTIONS_CUT,
                watch_cut_slow(server->watch));
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon);
    watch_free(server->watch);
    homes_free(server->homes);
    free(server->address);
    free(server);
}
