// SPDX-License-Identifier: Apache-2.0
// Every open connection and what it waits for. libmicrohttpd's own time limit starts
// anew with each byte, so that a byte now and then would hold a thread for ever; and it
// closes at its end what the kernel has not sent yet. Both are looked after here, by
// asking the kernel how many bytes the peer has sent and taken.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch;   // any thread
struct watched; // one connection; changed by its own thread alone

struct watch_limits {
    int64_t head_ms;   // from the first byte of a head to its last
    int64_t window_ms; // a body or an answer must move `rate` * this in each such time
    int64_t rate;      // bytes a second
};

enum watch_phase {
    WATCH_HEAD, // between requests too
    WATCH_BODY,
    WATCH_ANSWER,
};

struct watch *watch_new(const struct watch_limits *limits);
void watch_free(struct watch *watch); // NULL is allowed; all connections are closed

struct watched *watch_open(struct watch *watch, int fd);
// Before the descriptor is closed; frees. Where the kernel has not sent all yet, the
// connection goes on to count in watch_pending, and to be cut when its peer is too
// slow.
void watch_close(struct watch *watch, struct watched *one);

void watch_set_phase(struct watched *one, enum watch_phase phase);
// While the server itself is at work, the peer is not to blame.
void watch_set_busy(struct watched *one, bool busy);

// Ends the connections that are too slow, and returns how many; called about every
// second, by one thread. Those that read too slowly are reset, so that what they did
// not take is not kept.
unsigned watch_cut_slow(struct watch *watch);
// Connections whose peer has not acknowledged all that was written to it, or has sent
// what was not read.
unsigned watch_pending(struct watch *watch);
