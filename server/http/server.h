// SPDX-License-Identifier: Apache-2.0
// The HTTP server: one thread per connection over libmicrohttpd, which only this folder
// knows. It routes, authorises and reads bodies as server/api/route.h says.
#pragma once

#include "common/error.h"
#include "server/api/app.h"

struct http_server;

// Binds config->listen, sets the congestion control, and starts to accept.
enum err http_server_start(const struct app *app, struct http_server **server,
                           struct error *e) MUST_CHECK;
// The bound address as ADDR:PORT (the real port when 0 was asked for).
const char *http_server_address(const struct http_server *server);
// Stops accepting; open connections answer what they have and then close.
void http_server_quiesce(struct http_server *server);
// Requests being answered at this moment.
unsigned http_server_active(const struct http_server *server);
// Of them, those whose body or answer has many bytes; one that has just ended counts,
// since loaders ask for one range after the other.
unsigned http_server_transfers(const struct http_server *server);
// While users have transfers under way, binds the calling thread, one that works behind
// their backs, to processors on which no connection stays, if there are such.
void http_server_step_aside(const struct http_server *server);
// Connections whose client has sent what was not read yet, or has not taken all yet of
// what was answered.
unsigned http_server_pending(const struct http_server *server);
// Ends connections that are too slow (server/http/watch.h); called every second.
void http_server_cut_slow(struct http_server *server);
// Cuts what is left, joins all threads and frees. After http_server_quiesce.
void http_server_stop(struct http_server *server);
