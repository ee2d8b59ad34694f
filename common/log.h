// SPDX-License-Identifier: Apache-2.0
// Structured logs: one logfmt line on standard error, `time level request msg k=v…`.
// Values are quoted where they must be. Libraries log at debug only. Any thread.
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level); // default info
bool log_level_parse(const char *text, enum log_level *level);

// The id that lines of this thread carry until it is set again; NULL for none. The
// text is copied (at most 63 bytes).
void log_set_request(const char *request_id);

// Pairs of key and value (const char *) follow and end with NULL:
// log_info("listening", "address", text, NULL). A NULL value ends the list early.
void log_write(enum log_level level, const char *message, ...)
    __attribute__((sentinel));

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

// Formats a number for the list above into a small ring of thread-local buffers; valid
// until eight more calls on the same thread.
const char *log_number(long long number);
