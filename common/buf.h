// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer that is born with a maximum. The owner clears it. The bytes are
// always followed by a NUL that is not counted.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t size;
    size_t capacity;
    size_t maximum; // 0 = 64 MiB
};

void buf_init(struct buf *b, size_t maximum);
void buf_clear(struct buf *b);
void buf_reset(struct buf *b); // empty, memory kept

// False when the maximum would be passed; the buffer then stays as it was.
bool buf_append(struct buf *b, const void *bytes, size_t size);
bool buf_puts(struct buf *b, const char *text);
bool buf_putc(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *buf_text(const struct buf *b); // "" when empty
char *buf_steal(struct buf *b);            // the caller frees; b is empty afterwards
