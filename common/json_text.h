// SPDX-License-Identifier: Apache-2.0
// Writes JSON text compactly and with each double in its shortest form that reads back
// as the same value, which jansson's own writer cannot do (0.1, not
// 0.10000000000000001). Members keep their order.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "common/buf.h"

// All are false when the buffer's maximum would be passed.
bool json_text_string(struct buf *to, const char *utf8); // with quotes; NULL = null
// A finite double always holds a point or an exponent, so that it stays a real; the
// others are the strings "NaN", "Infinity" and "-Infinity".
bool json_text_real(struct buf *to, double value);
bool json_text_value(struct buf *to, const json_t *value);
// As json_text_value, into a text of its own that the caller frees; size may be NULL.
char *json_text_dump(const json_t *value, size_t *size);
