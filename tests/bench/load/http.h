// SPDX-License-Identifier: Apache-2.0
// The little HTTP/1.1 that the load client speaks: it connects over IPv4, and reads the
// head of an answer. Bodies are counted, never looked at.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The largest answer's head that is understood, in bytes.
#define HEAD_SIZE 8192
#define ETAG_SIZE 128
#define LOCATION_SIZE 1024

struct http_head {
    int status;
    int64_t body_size; // bytes, -1: not said
    bool close;        // the server ends the connection after this answer
    char etag[ETAG_SIZE];
    char location[LOCATION_SIZE];
};

// Prints the message as printf does, and ends the process with status 1.
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void die(const char *format, ...);

// A connected socket to ADDRESS:PORT, with TCP_NODELAY; dies when there is none.
int http_connect(const char *address);

// Parses the head at the start of `text`, a string. Its length in bytes, 0: more is
// needed, -1: it is no HTTP answer that this client understands.
int http_head_parse(const char *text, struct http_head *head);

// Seconds of a clock that never goes back.
double clock_seconds(void);

// User and system time of this process, in seconds.
double cpu_seconds(void);
