// SPDX-License-Identifier: Apache-2.0
// Allocation that ends the process when memory is out: there is no honest answer to a
// failed small allocation, and a restart loses nothing acknowledged.
#pragma once

#include <stdarg.h>
#include <stddef.h>

void *alloc_zero(size_t size);                        // never NULL, zeroed
void *alloc_array(size_t count, size_t size);         // never NULL, zeroed
void *alloc_grow(void *old, size_t count, size_t size); // realloc of an array
char *alloc_copy(const char *text);                   // strdup; NULL stays NULL
char *alloc_copy_n(const char *text, size_t length);  // strndup
char *alloc_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
