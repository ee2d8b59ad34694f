// SPDX-License-Identifier: Apache-2.0
// What commands print: lines and columns for people, one document with --json.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "client/cli/options.h"

// Prints a text of the server without the control characters that a terminal obeys.
void print_text(FILE *to, const char *text);
// printf of an already safe format whose result goes through print_text.
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The value of a member as text: strings as they are, null as "-"; the caller frees.
char *member_text(const json_t *object, const char *key);

// Columns, as wide as their widest cell. Zero-initialise with the number of columns.
struct table {
    size_t columns;
    char **cells; // owned
    size_t count;
};
void table_add(struct table *table, char *cell); // takes it over
void table_print(struct table *table);           // and frees

void table_add_titles(struct table *table, const char *const *titles);
// A member that is a number of bytes, as "1.2 GB"; null as "-". The caller frees.
char *member_size(const json_t *object, const char *key);
// The day of a member that is a time, as "2026-11-22". The caller frees.
char *member_day(const json_t *object, const char *key);

// STRATA_LOCAL when standard output cannot be written.
enum strata_status print_document(const json_t *json, struct strata_error *e);
enum strata_status print_json(const char *text, struct strata_error *e);
// Writes out what was printed. STRATA_LOCAL when standard output did not take it all.
enum strata_status print_end(struct strata_error *e);
// After an error of writing: where nobody reads the pipe any more, ends the program as
// `head` ends others, silently.
void end_if_unread(int errnum);
// What went wrong, on standard error; with `json` also as a document.
void report_error(const struct strata_error *e, bool json);
