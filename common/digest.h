// SPDX-License-Identifier: Apache-2.0
// A SHA-256 value, the name of a blob.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65 // with the NUL

struct digest {
    uint8_t bytes[DIGEST_SIZE];
};

// 64 lower-case hex digits and nothing else; false otherwise.
bool digest_parse(const char *text, struct digest *digest);
void digest_format(const struct digest *digest, char text[DIGEST_HEX_SIZE]);
bool digest_equal(const struct digest *a, const struct digest *b);
int digest_compare(const void *a, const void *b); // for qsort
// SHA-256 of a whole buffer. Any thread.
void digest_of(const void *bytes, size_t size, struct digest *digest);
