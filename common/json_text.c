// SPDX-License-Identifier: Apache-2.0
#include "common/json_text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define TEXT_MAXIMUM (256u << 20)

static int append(const char *bytes, size_t size, void *context)
{
    return buf_append(context, bytes, size) ? 0 : -1;
}

bool json_text_string(struct buf *to, const char *utf8)
{
    AUTO_JSON json_t *string = utf8 != NULL ? json_string(utf8) : json_null();
    assert(string != NULL); // callers have checked that it is UTF-8
    return json_dump_callback(string, append, to, JSON_ENCODE_ANY) == 0;
}

bool json_text_real(struct buf *to, double value)
{
    if (isnan(value))
        return buf_puts(to, "\"NaN\"");
    if (isinf(value))
        return buf_puts(to, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return buf_puts(to, text) && (strpbrk(text, ".e") != NULL || buf_puts(to, ".0"));
}

static bool put_array(struct buf *to, const json_t *array)
{
    bool fine = buf_putc(to, '[');
    for (size_t i = 0; fine && i < json_array_size(array); i++)
        fine = (i == 0 || buf_putc(to, ',')) &&
               json_text_value(to, json_array_get(array, i));
    return fine && buf_putc(to, ']');
}

static bool put_object(struct buf *to, const json_t *object)
{
    bool fine = buf_putc(to, '{');
    bool first = true;
    json_t *members = (json_t *)(uintptr_t)object; // jansson iterates without const
    for (void *i = json_object_iter(members); fine && i != NULL;
         i = json_object_iter_next(members, i)) {
        fine = (first || buf_putc(to, ',')) &&
               json_text_string(to, json_object_iter_key(i)) && buf_putc(to, ':') &&
               json_text_value(to, json_object_iter_value(i));
        first = false;
    }
    return fine && buf_putc(to, '}');
}

bool json_text_value(struct buf *to, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(to, value);
    case JSON_ARRAY:
        return put_array(to, value);
    case JSON_STRING:
        return json_dump_callback(value, append, to, JSON_ENCODE_ANY) == 0;
    case JSON_INTEGER:
        return buf_printf(to, "%" PRId64, (int64_t)json_integer_value(value));
    case JSON_REAL:
        return json_text_real(to, json_real_value(value));
    case JSON_TRUE:
        return buf_puts(to, "true");
    case JSON_FALSE:
        return buf_puts(to, "false");
    case JSON_NULL:
        return buf_puts(to, "null");
    }
    return false;
}

char *json_text_dump(const json_t *value, size_t *size)
{
    CLEANUP(buf_clear) struct buf text;
    buf_init(&text, TEXT_MAXIMUM);
    bool fine = json_text_value(&text, value);
    assert(fine); // every answer is bounded far below
    if (size != NULL)
        *size = text.size;
    return buf_steal(&text);
}
