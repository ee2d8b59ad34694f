// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t now_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

static struct tm split(int64_t wall_us, int *fraction)
{
    int64_t seconds = wall_us / 1000000;
    *fraction = (int)(wall_us % 1000000);
    if (*fraction < 0) {
        *fraction += 1000000;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE])
{
    int fraction;
    struct tm tm = split(wall_us, &fraction);
    size_t n = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, CLOCK_TEXT_SIZE - n, ".%06dZ", fraction);
}

void clock_format_http(int64_t wall_us, char text[CLOCK_TEXT_SIZE])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int fraction;
    struct tm tm = split(wall_us, &fraction);
    snprintf(text, CLOCK_TEXT_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT",
             days[tm.tm_wday], tm.tm_mday % 100, months[tm.tm_mon],
             (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100,
             tm.tm_sec % 100);
}

bool clock_parse_http(const char *text, int64_t *wall_us)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != '\0')
        return false;
    *wall_us = (int64_t)timegm(&tm) * 1000000;
    return true;
}

// Up to nine digits after a point, as microseconds.
static const char *parse_fraction(const char *p, int64_t *us)
{
    int64_t value = 0;
    int digits = 0;
    for (; *p >= '0' && *p <= '9' && digits < 9; p++, digits++) {
        if (digits < 6)
            value = value * 10 + (*p - '0');
    }
    for (int i = digits; i < 6; i++)
        value *= 10;
    *us = value;
    return digits > 0 ? p : NULL;
}

static const char *parse_offset(const char *p, int64_t *seconds)
{
    *seconds = 0;
    if (*p == 'Z' || *p == 'z')
        return p + 1;
    int hours, minutes, length = 0;
    if ((*p != '+' && *p != '-') ||
        sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &length) != 2 || length != 5 ||
        hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
        return NULL;
    *seconds = (hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
    return p + 6;
}

bool clock_parse(const char *text, int64_t *wall_us)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (p != text + strlen("2026-01-31T12:00:00") || tm.tm_year > 8099 ||
        tm.tm_year < 0)
        return false;
    int day = tm.tm_mday;
    int64_t fraction = 0, offset = 0;
    if (*p == '.' && (p = parse_fraction(p + 1, &fraction)) == NULL)
        return false;
    if ((p = parse_offset(p, &offset)) == NULL || *p != '\0')
        return false;
    *wall_us = ((int64_t)timegm(&tm) - offset) * 1000000 + fraction;
    return tm.tm_mday == day; // there is no 30th of February
}

struct timespec clock_deadline(int64_t monotonic_ms)
{
    return (struct timespec){.tv_sec = monotonic_ms / 1000,
                             .tv_nsec = monotonic_ms % 1000 * 1000000};
}
