// SPDX-License-Identifier: Apache-2.0
// One request and its response, from the first header to the last byte: the named steps
// that server.c runs through. Lives from libmicrohttpd's first word of a request until
// it says that the request is over; one thread.
#pragma once

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/buf.h"
#include "server/api/route.h"
#include "server/http/server.h"
#include "server/http/target.h"
#include "server/http/watch.h"

#define EXCHANGE_HEADERS_MAXIMUM 100
#define TRANSFER_MINIMUM ((uint64_t)1 << 20)
#define REQUEST_ID_SIZE 64 // as much as a log line carries

struct http_server {
    const struct app *app;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct homes *homes;
    char *address;
    atomic_uint connections;
    atomic_uint active;             // requests being answered
    atomic_uint transfers;          // of them, those that move many bytes
    _Atomic int64_t transferred_ms; // when the last of those ended, monotonic
    atomic_bool quiescing;          // answers say Connection: close
    uint8_t id_prefix[8];           // random; of the ids of requests
    atomic_uint ids;
};

// What is kept of a connection between its requests.
struct link {
    struct watched *watched;
    int home; // of its thread (homes.h)
};

struct exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct link *link;         // the connection's
    const struct route *route; // NULL until found
    struct request request;
    struct response response;
    struct error error; // code ERR_NONE while all is well
    struct body_sink sink;
    bool sink_open;
    bool started;
    bool must_close;   // the framing of the body is not to be trusted
    bool is_large;     // its reader may be slow
    bool is_transfer;  // counted as one
    struct buf body;   // of a JSON route
    uint64_t received; // bytes of body, discarded ones too
    uint64_t sent;     // bytes of the answer's body
    int64_t started_us;
    char *target;
    const char *target_read; // where libmicrohttpd has it
    struct request_pair headers[EXCHANGE_HEADERS_MAXIMUM];
    struct request_pair query[TARGET_QUERY_MAXIMUM];
    char id[REQUEST_ID_SIZE];
    char allow[256];
};

struct exchange *exchange_new(struct http_server *server, const char *target);
// Ends what is still open, writes the log line and the metrics, and frees.
void exchange_finish(struct exchange *x);

// The steps, in order. What goes wrong is kept in x->error and ends up as the answer.
void exchange_begin(struct exchange *x, const char *method, const char *version);
bool exchange_must_answer_early(const struct exchange *x);
void exchange_body(struct exchange *x, const void *bytes, size_t size);
// An unwanted body of no stated length that does not end: the connection is cut.
bool exchange_is_endless(const struct exchange *x);
void exchange_respond(struct exchange *x);
// Many bytes go in or out: what works behind the users' backs makes way.
void exchange_note_transfer(struct exchange *x);

// server/http/reply.c: hands x->response over to libmicrohttpd.
enum MHD_Result exchange_send(struct exchange *x);
