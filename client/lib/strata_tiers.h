// SPDX-License-Identifier: Apache-2.0
// libstrata: where bytes lie, and why: tiers, placements, moves, pins, prefetch and
// tier rules. A tier is "hot", "warm" or "cold".
#pragma once

#include <strata.h>

#ifdef __cplusplus
extern "C" {
#endif

// How full each tier is and what it serves; and the rules that one cannot hold.
enum strata_status strata_tier_list(struct strata_client *client, char **json,
                                    struct strata_error *e);
// Where the copies of a blob lie, why, and what happens next.
enum strata_status strata_placement_list(struct strata_client *client,
                                         const char *sha256, char **json,
                                         struct strata_error *e);

// Moves a blob by hand; the answer is the move, which goes on behind it.
enum strata_status strata_move_begin(struct strata_client *client, const char *sha256,
                                     const char *tier, char **json,
                                     struct strata_error *e);
enum strata_status strata_move_get(struct strata_client *client, const char *id,
                                   char **json, struct strata_error *e);
// A page of moves, newest first. `state` NULL: of every state.
enum strata_status strata_move_list(struct strata_client *client, const char *state,
                                    const char *page_token, int limit, char **json,
                                    struct strata_error *e);
// STRATA_CONFLICT when it has ended.
enum strata_status strata_move_cancel(struct strata_client *client, const char *id,
                                      struct strata_error *e);

// Keeps a version (by its ref) or a blob (by its digest) on a tier. `until` is RFC
// 3339, or NULL: until the pin is deleted.
enum strata_status strata_pin_create(struct strata_client *client, const char *what,
                                     const char *tier, const char *until, char **json,
                                     struct strata_error *e);
enum strata_status strata_pin_list(struct strata_client *client, const char *page_token,
                                   int limit, char **json, struct strata_error *e);
enum strata_status strata_pin_delete(struct strata_client *client, const char *id,
                                     struct strata_error *e);

// Brings a version's files to a tier now; the answer is {"moves":[…]}. `files`: paths
// or patterns, NULL-terminated; NULL: all.
enum strata_status strata_prefetch(struct strata_client *client, const char *ref,
                                   const char *tier, const char *const *files,
                                   char **json, struct strata_error *e);

// {"rules":[…]}, as strata_tier_rules_set takes it.
enum strata_status strata_tier_rules_get(struct strata_client *client, char **json,
                                         struct strata_error *e);
// `rules` is a JSON document. With `dry_run` nothing changes, and the answer says what
// the rules would do.
enum strata_status strata_tier_rules_set(struct strata_client *client,
                                         const char *rules, bool dry_run, char **json,
                                         struct strata_error *e);
// A page of the rules there were, newest first.
enum strata_status strata_tier_rules_history(struct strata_client *client,
                                             const char *page_token, int limit,
                                             char **json, struct strata_error *e);

// What garbage collection did, and what waits for it.
enum strata_status strata_gc_get(struct strata_client *client, char **json,
                                 struct strata_error *e);
// Begins a run; the answer is {"run"}. With `dry_run` says what it would delete.
enum strata_status strata_gc_run(struct strata_client *client, bool dry_run,
                                 char **json, struct strata_error *e);

// What the scrub does and has found.
enum strata_status strata_scrub_get(struct strata_client *client, char **json,
                                    struct strata_error *e);
// Has copies checked now: of one blob (NULL: of all), on one tier (NULL: on all). The
// answer is {"due"}.
enum strata_status strata_scrub_start(struct strata_client *client, const char *sha256,
                                      const char *tier, char **json,
                                      struct strata_error *e);

#ifdef __cplusplus
}
#endif
