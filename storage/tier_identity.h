// SPDX-License-Identifier: Apache-2.0
// strata-tier.json: a tier knows whose it is (invariant 7).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define TIER_IDENTITY_FILE "strata-tier.json"
#define TIER_IDENTITY_TEMPORARY TIER_IDENTITY_FILE ".new"
#define TIER_IDENTITY_ID_SIZE 64

struct tier_identity {
    char cluster[TIER_IDENTITY_ID_SIZE]; // the cluster row's id
    char tier[TIER_IDENTITY_ID_SIZE];    // "hot/1": the tier's name and the node
    int64_t epoch;
};

// *found is false when there is no such file. ERR_CONFLICT when it does not parse.
enum err tier_identity_read(int root, struct tier_identity *identity, bool *found,
                            struct error *e) MUST_CHECK;
// Replaces the file, durably.
enum err tier_identity_write(int root, const struct tier_identity *identity,
                             struct error *e) MUST_CHECK;

// The text of such a file, and back. The caller frees.
char *tier_identity_format(const struct tier_identity *identity);
// ERR_CONFLICT when it does not parse.
enum err tier_identity_parse(const char *text, size_t size,
                             struct tier_identity *identity,
                             struct error *e) MUST_CHECK;

enum tier_claim {
    TIER_CLAIM_OURS,     // go on
    TIER_CLAIM_NEW,      // nobody's and never used: to be claimed
    TIER_CLAIM_RESTORED, // ours, but it has seen a later epoch than the database
    TIER_CLAIM_MISSING,  // no identity where there must be one: a mount is missing
    TIER_CLAIM_FOREIGN,  // another cluster's, or another tier of ours
};

// What a root is, by its identity (NULL = none), whether it is empty (a temporary
// identity file of a claim that was cut off does not count), and whether the database
// names files on it.
enum tier_claim tier_identity_judge(const struct tier_identity *expected,
                                    const struct tier_identity *found, bool is_empty,
                                    bool is_named);
