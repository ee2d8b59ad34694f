// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define LOG_LINE_MAXIMUM 8192

static atomic_int threshold = LOG_LEVEL_INFO;
static _Thread_local char request[64];

static const char *const names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_request(const char *request_id)
{
    snprintf(request, sizeof request, "%s", request_id != NULL ? request_id : "");
}

static bool is_plain(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return false;
    }
    return true;
}

static void put_value(struct buf *line, const char *text)
{
    if (is_plain(text)) {
        buf_puts(line, text);
        return;
    }
    buf_putc(line, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            buf_printf(line, "\\x%02x", c);
        else
            buf_putc(line, (char)c);
    }
    buf_putc(line, '"');
}

static void put_pair(struct buf *line, const char *key, const char *value)
{
    buf_printf(line, " %s=", key);
    put_value(line, value);
}

void log_write(enum log_level level, const char *message, ...)
{
    if ((int)level < atomic_load(&threshold))
        return;
    CLEANUP(buf_clear) struct buf line = {.maximum = LOG_LINE_MAXIMUM};
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), now);
    buf_printf(&line, "time=%s level=%s", now, names[level]);
    if (request[0] != '\0')
        put_pair(&line, "request", request);
    put_pair(&line, "msg", message);
    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        if (value == NULL)
            break;
        put_pair(&line, key, value);
    }
    va_end(args);
    line.maximum++; // a line that is cut still ends
    buf_putc(&line, '\n');
    ssize_t written = write(STDERR_FILENO, buf_text(&line), line.size);
    (void)written;
}

const char *log_number(long long number)
{
    static _Thread_local char ring[8][24];
    static _Thread_local unsigned next;
    char *text = ring[next++ % ARRAY_SIZE(ring)];
    snprintf(text, sizeof ring[0], "%lld", number);
    return text;
}
