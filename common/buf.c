// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

#define BUF_DEFAULT_MAXIMUM ((size_t)64 << 20)
#define BUF_FIRST_CAPACITY 256

void buf_init(struct buf *b, size_t maximum)
{
    *b = (struct buf){.maximum = maximum};
}

void buf_clear(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.maximum = b->maximum};
}

void buf_reset(struct buf *b)
{
    b->size = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

static bool reserve(struct buf *b, size_t more)
{
    size_t maximum = b->maximum > 0 ? b->maximum : BUF_DEFAULT_MAXIMUM;
    if (more > maximum - b->size)
        return false;
    size_t needed = b->size + more + 1;
    if (needed <= b->capacity)
        return true;
    size_t capacity = b->capacity > 0 ? b->capacity : BUF_FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > maximum + 1)
        capacity = maximum + 1;
    b->data = alloc_grow(b->data, capacity, 1);
    b->capacity = capacity;
    return true;
}

bool buf_append(struct buf *b, const void *bytes, size_t size)
{
    if (!reserve(b, size))
        return false;
    if (size > 0)
        memcpy(b->data + b->size, bytes, size);
    b->size += size;
    b->data[b->size] = '\0';
    return true;
}

bool buf_puts(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

bool buf_putc(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool fits = length >= 0 && reserve(b, (size_t)length);
    if (fits) {
        vsnprintf(b->data + b->size, (size_t)length + 1, format, again);
        b->size += (size_t)length;
    }
    va_end(again);
    return fits;
}

const char *buf_text(const struct buf *b)
{
    return b->size > 0 ? b->data : "";
}

char *buf_steal(struct buf *b)
{
    char *data = b->data != NULL ? b->data : alloc_zero(1);
    *b = (struct buf){.maximum = b->maximum};
    return data;
}
