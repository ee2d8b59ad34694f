// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/db/connection.h"
#include "common/hex.h"

void db_result_free(struct db_result *result)
{
    if (result == NULL)
        return;
    PQclear(result->rows);
    free(result);
}

int db_rows(const struct db_result *result)
{
    return PQntuples(result->rows);
}

bool db_is_null(const struct db_result *result, int row, int column)
{
    return PQgetisnull(result->rows, row, column) == 1;
}

const char *db_text(const struct db_result *result, int row, int column)
{
    return PQgetvalue(result->rows, row, column);
}

int64_t db_int(const struct db_result *result, int row, int column)
{
    return strtoll(db_text(result, row, column), NULL, 10);
}

double db_double(const struct db_result *result, int row, int column)
{
    return strtod(db_text(result, row, column), NULL);
}

bool db_bool(const struct db_result *result, int row, int column)
{
    return db_text(result, row, column)[0] == 't';
}

int64_t db_time(const struct db_result *result, int row, int column)
{
    // `2026-11-22 20:35:51.000123+00`, since the session's zone is UTC.
    char text[CLOCK_TEXT_SIZE];
    snprintf(text, sizeof text, "%s", db_text(result, row, column));
    char *space = strchr(text, ' ');
    char *zone = strchr(text, '+');
    if (space == NULL || zone == NULL)
        return 0;
    *space = 'T';
    zone[0] = 'Z';
    zone[1] = '\0';
    int64_t us = 0;
    return clock_parse(text, &us) ? us : 0;
}

bool db_digest(const struct db_result *result, int row, int column,
               struct digest *digest)
{
    const char *text = db_text(result, row, column);
    return strlen(text) == 2 + 2 * DIGEST_SIZE && strncmp(text, "\\x", 2) == 0 &&
           hex_decode(text + 2, digest->bytes, DIGEST_SIZE);
}

void *db_bytes(const struct db_result *result, int row, int column, size_t *size)
{
    *size = 0;
    const char *text = db_text(result, row, column);
    size_t length = strlen(text);
    if (db_is_null(result, row, column) || length < 2 || strncmp(text, "\\x", 2) != 0)
        return NULL;
    *size = (length - 2) / 2;
    uint8_t *bytes = alloc_zero(*size);
    if (hex_decode(text + 2, bytes, *size))
        return bytes;
    free(bytes);
    *size = 0;
    return NULL;
}
