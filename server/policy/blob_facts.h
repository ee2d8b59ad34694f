// SPDX-License-Identifier: Apache-2.0
// What decides of many blobs at once, as the database has it now.
#pragma once

#include "common/db/db.h"
#include "common/names.h"
#include "server/policy/decide.h"
#include "server/policy/policy.h"
#include "storage/move.h"

struct blob_facts {
    struct digest digest;
    struct decide_blob in; // its texts are `rule`'s
    char rule[NAME_SIZE];
    bool is_moving; // the newest active move
    int64_t move_id;
    enum tier move_to;
    bool move_drops;
    enum move_cause move_cause;
    char move_rule[100];
    int64_t own_cancel; // the last move that the policy cancelled, 0: none
};

struct blob_facts_list {
    struct blob_facts *blobs; // those that are here, by digest
    size_t count;
    int64_t now_us; // of PostgreSQL's clock
};
void blob_facts_clear(struct blob_facts_list *list);

// `digests` is a bytea[].
enum err blob_facts_read(struct db *db, const struct policy *policy,
                         struct db_param digests, struct blob_facts_list *list,
                         struct error *e) MUST_CHECK;
// NULL: it is not here.
struct blob_facts *blob_facts_find(const struct blob_facts_list *list,
                                   const struct digest *digest);
