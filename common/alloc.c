// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *pointer)
{
    if (pointer == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void *alloc_zero(size_t size)
{
    return check(calloc(1, size > 0 ? size : 1));
}

void *alloc_array(size_t count, size_t size)
{
    return check(calloc(count > 0 ? count : 1, size));
}

void *alloc_grow(void *old, size_t count, size_t size)
{
    return check(reallocarray(old, count > 0 ? count : 1, size));
}

char *alloc_copy(const char *text)
{
    return text == NULL ? NULL : check(strdup(text));
}

char *alloc_copy_n(const char *text, size_t length)
{
    return check(strndup(text, length));
}

char *alloc_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    return check(length < 0 ? NULL : text);
}
