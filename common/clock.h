// SPDX-License-Identifier: Apache-2.0
// Time. Wall-clock times are microseconds since 1970 in UTC; durations and deadlines
// are milliseconds of the monotonic clock.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_SIZE 48

int64_t clock_wall_us(void);
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

// RFC 3339 with microseconds and Z: 2026-11-22T20:35:51.000123Z
void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE]);
// RFC 3339 with any offset and 0 to 9 digits of fraction; false when it does not parse.
bool clock_parse(const char *text, int64_t *wall_us);
// RFC 9110 IMF-fixdate, "Sun, 22 Nov 2026 20:35:51 GMT".
void clock_format_http(int64_t wall_us, char text[CLOCK_TEXT_SIZE]);
bool clock_parse_http(const char *text, int64_t *wall_us);

// Absolute CLOCK_MONOTONIC time for pthread_cond_timedwait on a condition that was made
// with cond_init_monotonic.
struct timespec clock_deadline(int64_t monotonic_ms);
