// SPDX-License-Identifier: Apache-2.0
// What the rules may ask of many versions at once, as the database has it now.
#pragma once

#include "common/db/db.h"
#include "server/policy/tier_rules.h"

struct facts {
    struct version_facts *versions; // the live ones, by id
    size_t count;
    int64_t now_us; // of PostgreSQL's clock
    // What they point to:
    struct db_result *rows, *alias_rows, *tag_rows;
    const char **aliases;
    struct version_tag *tags;
};

// `ids` sorted and unique. Only what `rules` ask for is read.
enum err facts_read(struct db *db, const struct tier_rules *rules, const int64_t *ids,
                    size_t count, struct facts *facts, struct error *e) MUST_CHECK;
void facts_clear(struct facts *facts);
