// SPDX-License-Identifier: Apache-2.0
// What the client remembers on disk between runs: uploads and publishes under way
// (notes), and the digests of local files. All of it may be lost without harm, and
// nothing here is an error: what cannot be kept is not kept.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "common/digest.h"
#include "common/format/chain.h"

struct state;

// `folder` NULL = $XDG_STATE_HOME/strata or ~/.local/state/strata. Never NULL.
struct state *state_new(const char *folder);
void state_free(struct state *state);

// A note is a short text under a key, held by one process at a time.
struct state_note;

enum state_kind { STATE_UPLOAD, STATE_PUBLISH };

// SHA-256 of the texts, each with its NUL, as the key of a note; ends with NULL.
void state_key(struct digest *key, ...) __attribute__((sentinel));

// NULL when another process (or thread) holds it or nothing can be kept.
struct state_note *state_note_open(struct state *state, enum state_kind kind,
                                   const struct digest *key);
const char *state_note_text(const struct state_note *note); // "" when it is new
void state_note_write(struct state_note *note, const char *text);
// Lets the note go; `forget` removes it. NULL is allowed.
void state_note_close(struct state_note *note, bool forget);

// The chain of the file with this stat, when it was hashed before and has not changed
// since (device, inode, size, both times in nanoseconds). The caller clears *chain.
bool state_hash_find(struct state *state, const struct stat *st, struct chain *chain);
void state_hash_put(struct state *state, const struct stat *st,
                    const struct chain *chain);
// Removes what was not used for 30 days.
void state_prune(struct state *state);
