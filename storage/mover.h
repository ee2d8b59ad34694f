// SPDX-License-Identifier: Apache-2.0
// The threads that run moves, for the files of storage/ alone.
#pragma once

#include "storage/move.h"
#include "storage/placement.h"
#include "storage/state.h"

// What is known of a move while it runs.
struct running_move {
    int64_t id;                // 0: the place is free
    atomic_uint_fast64_t done; // bytes of the pass that it is in
    atomic_bool cancel;
    atomic_bool verifying;
    int64_t began_ms;
};

enum err movers_start(struct storage *storage, struct error *e) MUST_CHECK;
// Ends what runs at its next chunk; it is queued again. NULL is allowed.
void movers_stop(struct movers *movers);
void movers_free(struct movers *movers); // stops them first; NULL is allowed
struct throttle *movers_throttle(struct movers *movers);

// Fills in bytes_done and eta_s of one that runs.
void movers_progress(struct storage *storage, struct move *move);
void movers_cancel(struct storage *storage, int64_t id);
// The server ends: what was stopped is to go on later.
bool movers_are_stopping(struct storage *storage);

// One attempt at a claimed move (move_run.c): copy, verify, ready, drop. The row says
// what came of it when it returns; false: that is not recorded.
bool move_run(struct storage *storage, const struct move *move,
              struct running_move *running, struct throttle *throttle) MUST_CHECK;

// Rows of moves (move.c, move_row.c).
bool move_take_row(const struct db_result *rows, int row, struct move *move);
#define MOVES_CLAIMED_MAXIMUM 16
// Claims the next one, or several small ones; `urgent`: only what people wait for.
enum err move_row_claim(struct storage *storage, bool urgent,
                        struct move moves[MOVES_CLAIMED_MAXIMUM], int *count,
                        struct error *e) MUST_CHECK;
// Those that a row says are under way, but for `running`, an array's text as {7,9}, are
// queued again: of a stratad that ended, or whose claim or end was not answered.
enum err move_row_requeue(struct storage *storage, const char *running,
                          struct error *e) MUST_CHECK;
// The copy's row, committed before there is such a file. *exists: there is a ready one
// already. ERR_UNAVAILABLE: another is under way.
enum err move_row_place(struct storage *storage, const struct move *move, int64_t *id,
                        bool *exists, struct error *e) MUST_CHECK;
enum err move_row_verifying(struct storage *storage, const struct move *move,
                            int64_t id, struct error *e) MUST_CHECK;
// The copy (NULL: it was there, and still must be) is ready, and what is above it is
// `dropping` where the move drops; *dropped says whether there is something to remove.
enum err move_row_ready(struct storage *storage, const struct move *move,
                        const struct placement *copy, bool *dropped,
                        struct error *e) MUST_CHECK;
// The end of the attempt: done, cancelled, failed, or queued again after a delay.
enum err move_row_end(struct storage *storage, const struct move *move,
                      enum move_state state, const char *error, int64_t delay_ms,
                      struct error *e) MUST_CHECK;
// What an attempt left: the file, then the row; also that of a COMMIT whose answer was
// lost.
enum err move_row_unplace(struct storage *storage, const struct move *move,
                          struct error *e) MUST_CHECK;
// The same for moves that ended while it could not be removed.
enum err move_row_unplace_finished(struct storage *storage, struct error *e) MUST_CHECK;
