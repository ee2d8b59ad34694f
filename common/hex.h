// SPDX-License-Identifier: Apache-2.0
// Bytes as lower-case hexadecimal text.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Writes 2 * size characters and a NUL.
void hex_encode(const uint8_t *bytes, size_t size, char *text);

// Reads exactly 2 * size lower-case digits; false on anything else. `text` need not
// end after them: the caller checks the length.
bool hex_decode(const char *text, uint8_t *bytes, size_t size);
