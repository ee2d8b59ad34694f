// SPDX-License-Identifier: Apache-2.0
#include "server/policy/sql_array.h"

#include <inttypes.h>

static void begin_item(struct buf *array)
{
    buf_putc(array, array->size == 0 ? '{' : ',');
}

void sql_array_int(struct buf *array, int64_t value)
{
    begin_item(array);
    buf_printf(array, "%" PRId64, value);
}

void sql_array_real(struct buf *array, double value)
{
    begin_item(array);
    buf_printf(array, "%.17g", value);
}

void sql_array_bool(struct buf *array, bool value)
{
    begin_item(array);
    buf_putc(array, value ? 't' : 'f');
}

void sql_array_word(struct buf *array, const char *word)
{
    begin_item(array);
    buf_printf(array, "\"%s\"", word);
}

void sql_array_digest(struct buf *array, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    begin_item(array);
    buf_printf(array, "\"\\\\x%s\"", hex);
}

struct db_param sql_array(struct buf *array)
{
    if (array->size == 0)
        buf_putc(array, '{');
    buf_putc(array, '}');
    return DB_TEXT(buf_text(array));
}
