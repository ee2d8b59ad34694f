// SPDX-License-Identifier: Apache-2.0
// Moves: a blob is brought to a tier, and a demotion drops what is above it. Durable in
// PostgreSQL, run by the movers of the node (storage/mover.h), one after the other for
// each blob. Any thread.
#pragma once

#include "common/db/db.h"
#include "storage/storage.h"
#include "storage/tier.h"

enum move_cause {
    MOVE_EXPLICIT, // "move": POST /blobs/{sha256}/move; holds against rules and heat
    MOVE_PIN,
    MOVE_PREFETCH,
    MOVE_RULE,
    MOVE_HEAT,
    MOVE_SPACE,   // a tier is above its high mark
    MOVE_PROTECT, // a copy in the bucket, nothing is dropped
    MOVE_HEAL,    // a copy that was lost or damaged is made again
};
const char *move_cause_name(enum move_cause cause);
bool move_cause_parse(const char *text, enum move_cause *cause);

enum move_state {
    MOVE_QUEUED,
    MOVE_COPYING,
    MOVE_VERIFYING,
    MOVE_DONE,
    MOVE_FAILED,
    MOVE_CANCELLED,
};
const char *move_state_name(enum move_state state);
bool move_state_parse(const char *text, enum move_state *state);

struct move {
    int64_t id;
    struct digest digest;
    enum tier from, to;
    enum move_cause cause;
    char rule[100]; // the rule's name when the cause is MOVE_RULE
    bool drops;
    bool is_cancelled; // known of a claimed one alone
    enum move_state state;
    uint64_t size, bytes_done; // of the blob; while it runs, up to date to a second
    int64_t eta_s;             // -1 = not known
    int64_t attempts;
    char error[512];                             // of the last attempt, "" = none
    int64_t created_us, started_us, finished_us; // 0 = not yet
};

struct move_request {
    struct digest digest;
    enum tier to;
    enum move_cause cause;
    const char *rule; // or NULL
    bool drops; // copies above `to` go; of somebody's MOVE_EXPLICIT: found out here
    int64_t principal_id; // 0: nobody, the policy
};

// Begins a move, or finds the active one of this blob with the same target and effect.
// A blob that is there already and has nothing to drop gets a move that was born done.
// ERR_BLOB_NOT_FOUND.
enum err move_begin(struct storage *storage, const struct move_request *request,
                    struct move *move, struct error *e) MUST_CHECK;
// The same within the caller's transaction; storage_wake_movers after its COMMIT.
enum err move_begin_in(struct db *db, struct storage *storage,
                       const struct move_request *request, struct move *move,
                       struct error *e) MUST_CHECK;
// ERR_MOVE_NOT_FOUND.
enum err move_get(struct storage *storage, int64_t id, struct move *move,
                  struct error *e) MUST_CHECK;
// Newest first, ids below `before` (0 = all); `state` or `digest` NULL = any. *moves is
// to be freed.
enum err move_list(struct storage *storage, const enum move_state *state,
                   const struct digest *digest, int64_t before, int64_t limit,
                   struct move **moves, size_t *count, struct error *e) MUST_CHECK;
// What is copied so far goes. ERR_MOVE_NOT_FOUND, ERR_MOVE_FINISHED.
enum err move_cancel(struct storage *storage, int64_t id, struct error *e) MUST_CHECK;
void storage_wake_movers(struct storage *storage);
