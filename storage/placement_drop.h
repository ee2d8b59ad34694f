// SPDX-License-Identifier: Apache-2.0
// How copies go: the row says `dropping`, cached descriptors are let go, the file is
// removed, or set aside if it is damaged, and the row goes. A blob always keeps a ready
// copy that is not damaged (invariant 3), or, if there is none, its damaged ones.
#pragma once

#include "storage/placement.h"

// Which copies, inside a transaction that has locked them (placement_lock_all).
struct placement_state {
    int64_t id;
    enum tier tier;
    bool ready, damaged, dropping;
};
#define PLACEMENTS_LOCKED_MAXIMUM 32 // of one blob
struct placement_states {
    int count;
    struct placement_state all[PLACEMENTS_LOCKED_MAXIMUM];
};
// Locks the blob's row, then those of its copies that this node can reach, in the order
// of their ids, so that two who drop see each other.
enum err placement_lock_all(struct db *db, struct storage *storage,
                            const struct digest *digest,
                            struct placement_states *states,
                            struct error *e) MUST_CHECK;
// Marks one of them as dropping; inside the transaction.
enum err placement_mark_dropping(struct db *db, int64_t id, struct error *e) MUST_CHECK;

// A copy's file or object, then the row that names it (`delete_sql`, of the number),
// then what is counted. *gone: by this call.
enum err placement_remove_copy(struct storage *storage, struct storage_tier *tier,
                               const struct tier_key *key, int64_t stored_size,
                               const char *delete_sql, bool *gone,
                               struct error *e) MUST_CHECK;
// Removes what is `dropping` of the blob on this node's own tiers, file first.
enum err placement_remove_dropped(struct storage *storage, const struct digest *digest,
                                  struct error *e) MUST_CHECK;
// The same for what is left of any blob on tiers that are online, a batch of each; on
// the cold tier what left `ready` long enough ago (invariant 6). One thread.
enum err placement_reap(struct storage *storage, struct error *e) MUST_CHECK;

// What came of condemning: it is no copy any more, it was marked before and there still
// is no other, it is made again, or it is marked now.
enum verdict { VERDICT_GONE, VERDICT_KNOWN, VERDICT_HEALING, VERDICT_MARKED };
// A copy was found missing or with other bytes than it should have. Where another good
// copy can be seen, it goes, to quarantine, and a move makes it again; otherwise it is
// marked as damaged. An event and a log line say so either way. `verdict` may be NULL.
// ERR_UNAVAILABLE: its tier is away or not ours any more, and nothing was judged.
enum err placement_condemn(struct storage *storage, const struct digest *digest,
                           const struct placement *placement, const char *why,
                           enum verdict *verdict, struct error *e) MUST_CHECK;
