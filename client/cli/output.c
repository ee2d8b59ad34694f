// SPDX-License-Identifier: Apache-2.0
#include "client/cli/output.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/progress.h"
#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json_text.h"
#include "common/names.h"

#define DAY_CHARACTERS 10 // of a time: 2026-11-22

void print_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        // C0 and DEL, and C1, which is C2 80 to C2 9F in UTF-8.
        bool c1 = c == 0xc2 && (unsigned char)text[1] >= 0x80 &&
                  (unsigned char)text[1] < 0xa0;
        if (c1)
            text++;
        fputc(c1 || c < 0x20 || c == 0x7f ? ' ' : c, to);
    }
}

void print_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *text = NULL;
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        text = NULL;
    print_text(stdout, text != NULL ? text : "");
    fputc('\n', stdout);
}

char *member_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return alloc_copy("-");
    if (json_is_string(value))
        return alloc_copy(json_string_value(value));
    return json_text_dump(value, NULL);
}

char *member_size(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    char text[SIZE_TEXT];
    if (!json_is_integer(value))
        return alloc_copy("-");
    size_format((uint64_t)json_integer_value(value), text);
    return alloc_copy(text);
}

char *member_day(const json_t *object, const char *key)
{
    AUTO_FREE char *text = member_text(object, key);
    return alloc_copy_n(text, DAY_CHARACTERS);
}

void table_add(struct table *table, char *cell)
{
    table->cells = alloc_grow(table->cells, table->count + 1, sizeof *table->cells);
    table->cells[table->count++] = cell;
}

void table_add_titles(struct table *table, const char *const *titles)
{
    for (size_t i = 0; i < table->columns; i++)
        table_add(table, alloc_copy(titles[i]));
}

// Columns that a text takes on a terminal, near enough: code points.
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_print(struct table *table)
{
    AUTO_FREE size_t *widths = alloc_array(table->columns, sizeof *widths);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;
        print_text(stdout, table->cells[i]);
        if (last)
            fputc('\n', stdout);
        else
            printf("%*s", (int)(widths[column] - text_width(table->cells[i])) + 2, "");
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){.columns = table->columns};
}

enum strata_status print_document(const json_t *json, struct strata_error *e)
{
    AUTO_FREE char *text = json_text_dump(json, NULL);
    return print_json(text, e);
}

enum strata_status print_json(const char *text, struct strata_error *e)
{
    if (puts(text) >= 0 && fflush(stdout) == 0)
        return STRATA_OK;
    end_if_unread(errno);
    return fail_errno(e, errno, "standard output");
}

void end_if_unread(int errnum)
{
    if (errnum != EPIPE)
        return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

enum strata_status print_end(struct strata_error *e)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STRATA_OK;
    end_if_unread(errno);
    // An earlier write failed, and its errno is gone.
    return fail_errno(e, errno != 0 ? errno : EIO, "standard output");
}

// A detail may name a file whose name is not UTF-8, or end within a character.
static char *valid_text(const char *text)
{
    char *copy = alloc_copy(text);
    if (utf8_is_valid(copy, strlen(copy)))
        return copy;
    for (char *c = copy; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    return copy;
}

static void print_error_json(const struct strata_error *e)
{
    AUTO_FREE char *title = valid_text(e->title);
    AUTO_FREE char *detail = valid_text(e->detail);
    AUTO_JSON json_t *json = json_pack(
        "{s:{s:i, s:i, s:s, s:s, s:s, s:s, s:s}}", "error", "exit_status",
        (int)e->status, "http_status", e->http_status, "type", e->type, "title", title,
        "detail", detail, "field", e->field, "request_id", e->request_id);
    AUTO_FREE char *text = json != NULL ? json_text_dump(json, NULL) : NULL;
    puts(text != NULL ? text : "{\"error\":{}}");
}

void report_error(const struct strata_error *e, bool json)
{
    if (json)
        print_error_json(e);
    fflush(stdout);
    fputs("strata: ", stderr);
    if (e->title[0] != '\0') {
        print_text(stderr, e->title);
        fputs(": ", stderr);
    }
    print_text(stderr, e->detail);
    if (e->field[0] != '\0') {
        fputs(" (field ", stderr);
        print_text(stderr, e->field);
        fputc(')', stderr);
    }
    if (e->request_id[0] != '\0') {
        fputs(" [request ", stderr);
        print_text(stderr, e->request_id);
        fputc(']', stderr);
    }
    fputc('\n', stderr);
}
