// SPDX-License-Identifier: Apache-2.0
// The tier that test_tier_store.c tests: a directory of its own, or with
// STRATA_TEST_S3_ENDPOINT in the environment the bucket that the variables
// STRATA_TEST_S3_… name (tests/integration/support/s3.py sets them).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "storage/tier_store.h"

#define TIER_SUBJECT_STRANGER "sha256/00/stranger"

struct tier_subject {
    struct tier_store *store;
    char root[64]; // of the directory, otherwise ""
};

// Nothing lies there and nothing is prepared.
bool tier_subject_init(struct tier_subject *subject);
void tier_subject_clear(struct tier_subject *subject);
// Puts one byte under a name that Strata never writes.
void tier_subject_add_stranger(struct tier_subject *subject);
void tier_subject_break_identity(struct tier_subject *subject);
// How many copies with these very bytes are in quarantine.
unsigned tier_subject_quarantined(struct tier_subject *subject, const void *bytes,
                                  size_t size);
// Bytes that the seed decides; the caller frees.
unsigned char *tier_subject_bytes(size_t size, unsigned seed);
