// SPDX-License-Identifier: Apache-2.0
// What the targets share. A target is driven by libFuzzer (./dev fuzz) or by replay.c
// (make check), which both call the two functions below.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Once, before the first input; a target without anything to set up lacks it.
int LLVMFuzzerInitialize(int *argc, char ***argv);
// One input. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A property of the parser. Unlike an assert it says what it is for: what fails here is
// a bug of the parser, and the input is kept.
#define REQUIRE(property)                                                              \
    do {                                                                               \
        if (!(property))                                                               \
            fuzz_broken(__FILE__, __LINE__, #property);                                \
    } while (0)

static inline void __attribute__((noreturn))
fuzz_broken(const char *file, int line, const char *property)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, property);
    abort();
}

// The bytes as a text in memory of exactly its size, so that AddressSanitizer sees the
// first byte that is read behind it. The caller frees.
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    REQUIRE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

// Takes the digits and the character behind them off the front of a text: how targets
// that need a size get one.
static inline uint64_t fuzz_take_number(const char **text)
{
    char *end;
    uint64_t number = 0;
    if (**text >= '0' && **text <= '9') {
        number = strtoull(*text, &end, 10);
        *text = end;
    }
    *text += **text != '\0';
    return number;
}
