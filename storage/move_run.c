// SPDX-License-Identifier: Apache-2.0
// One attempt at a move: copy, sync, verify past the page cache, ready, drop. Each step
// is in the rows before the next begins, so that a crash between any two is repaired.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/format/cold.h"
#include "common/format/pieces.h"
#include "common/log.h"
#include "storage/blob_open.h"
#include "storage/chunk_reader.h"
#include "storage/mover.h"
#include "storage/placement_drop.h"
#include "storage/tier_room.h"

#define LOCAL_THREADS 2
#define REMOTE_THREADS 8
#define ATTEMPTS_MAXIMUM 10
#define DELAY_FIRST_MS 1000
#define DELAY_MAXIMUM_MS (10 * 60 * 1000)

struct attempt {
    struct storage *storage;
    const struct move *move;
    struct running_move *running;
    struct throttle *throttle;
    struct chain chain;
    struct storage_tier *target;
    unsigned absences;       // of the target, before anything was written there
    struct placement source; // its seek table is the list's
    struct chunk_reader *reader;
    struct tier_writer *writer;
    struct cold_encoded encoded; // seek_table NULL: raw
    void *pieces;                // checksums of a raw copy, or NULL
    uint64_t noted;              // bytes of the blob that have theirs there
    bool unchecked;              // the source, when it was copied
    uint64_t written;
    int64_t copy_id;
};

static bool is_stopping(const struct attempt *a)
{
    return atomic_load(&a->running->cancel);
}

static unsigned threads_for(const struct storage_tier *tier)
{
    unsigned parallel = tier->store->ops->parallel;
    if (tier->file != NULL)
        return LOCAL_THREADS;
    return parallel < REMOTE_THREADS ? parallel : REMOTE_THREADS; // each holds chunks
}

// ---- the source -------------------------------------------------------------------

static enum err open_source(struct attempt *a, struct placement_list *list,
                            struct error *e)
{
    enum err err = placement_list_get(a->storage, &a->move->digest, list, e);
    enum err why = ERR_NONE;
    for (int i = 0; err == ERR_NONE && i < list->count; i++) {
        struct placement *p = &list->placements[i];
        struct storage_tier *tier = &a->storage->tiers[p->tier];
        if (p->tier == a->move->to || !tier_is_online(tier))
            continue;
        why =
            chunk_reader_new(tier->store, p, &a->chain, TIER_READ_ASIDE, &a->reader, e);
        if (why == ERR_NONE) {
            a->source = *p;
            return ERR_NONE;
        }
        if (why == ERR_BLOB_NOT_FOUND)
            why =
                placement_condemn(a->storage, &a->move->digest, p, "missing", NULL, e);
    }
    if (err != ERR_NONE)
        return err;
    if (why == ERR_NONE)
        return error_set(e, ERR_UNAVAILABLE, "no copy of the blob can be read");
    AUTO_FREE char *reason = alloc_copy(e->detail);
    return error_set(e, why == ERR_ARCHIVED ? why : ERR_UNAVAILABLE,
                     "no copy of the blob can be read: %s", reason);
}

// A bad chunk of the source, or none: the next attempt takes another copy, if there is
// one.
static enum err blame_source(struct attempt *a, enum err err, struct error *e)
{
    struct error ignored = {0};
    if ((chunk_reader_is_damage(err) || err == ERR_BLOB_NOT_FOUND) &&
        placement_condemn(a->storage, &a->move->digest, &a->source, e->detail, NULL,
                          &ignored) != ERR_NONE)
        log_warn("a bad copy is not marked yet", "error", ignored.detail, NULL);
    error_clear(&ignored);
    if (err != ERR_BLOB_NOT_FOUND)
        return err;
    return error_set(e, ERR_UNAVAILABLE, "the copy on the %s tier is missing",
                     tier_name(a->source.tier));
}

// ---- copying ----------------------------------------------------------------------

// A target that says 404 to a write is away; nothing is missing at the source.
static enum err of_target(struct attempt *a, enum err err, struct error *e)
{
    if (err != ERR_BLOB_NOT_FOUND)
        return err;
    AUTO_FREE char *reason = alloc_copy(e->detail);
    return error_set(e, ERR_UNAVAILABLE, "the %s tier does not take the copy: %s",
                     tier_name(a->move->to), reason);
}

static enum err write_bytes(void *context, const void *bytes, size_t size,
                            struct error *e)
{
    struct attempt *a = context;
    throttle_step_aside(a->throttle);
    enum err err = a->writer->ops->write(a->writer, bytes, size, e);
    if (err == ERR_NONE)
        a->written += size;
    return of_target(a, err, e);
}

static enum err read_bytes(void *context, uint64_t offset, void *bytes, size_t size,
                           struct error *e)
{
    struct attempt *a = context;
    throttle_take(a->throttle, size, &a->running->cancel);
    atomic_fetch_add(&a->running->done, size);
    return chunk_reader_read(a->reader, offset, bytes, size, e);
}

static enum err open_writer(struct attempt *a, uint64_t bound, struct error *e)
{
    const struct tier_key key = {.digest = a->move->digest, .id = a->copy_id};
    tier_writer_free_at(&a->writer);
    a->writer = NULL;
    a->written = 0;
    enum err err =
        a->target->store->ops->writer_new(a->target->store, &key, bound, &a->writer, e);
    return of_target(a, err, e);
}

// The verification of the copy hashes all of it, which shows what was bad in the source
// as well: a file is not hashed twice. What comes from a bucket is checked as it comes,
// since a bit that flips on the way is read once more then.
static enum err copy_raw(struct attempt *a, struct error *e)
{
    const struct storage_tier *from = &a->storage->tiers[a->source.tier];
    a->unchecked = from->file != NULL && !a->source.damaged;
    const struct chunk_scan scan = {
        .reader = a->reader,
        .chain = &a->chain,
        .unchecked = a->unchecked,
        .threads = threads_for(from),
        .sink = write_bytes,
        .context = a,
        .throttle = a->throttle,
        .cancel = &a->running->cancel,
        .done = &a->running->done,
    };
    atomic_store(&a->running->done, 0);
    enum err err = open_writer(a, a->chain.size, e);
    return err != ERR_NONE ? err : chunk_scan_run(&scan, e);
}

static bool saves_enough(uint64_t size, uint64_t stored)
{
    return stored <= size - size * COLD_SAVING_MINIMUM / 100;
}

// *raw: it does not save enough, or will not; nothing of use has been written then.
static enum err copy_encoded(struct attempt *a, bool *raw, struct error *e)
{
    const struct cold_encode_request request = {
        .chain = &a->chain,
        .read = read_bytes,
        .write = write_bytes,
        .context = a,
        .threads = LOCAL_THREADS,
        .cancel = &a->running->cancel,
    };
    uint64_t estimate = 0;
    enum err err = cold_estimate(&request, &estimate, e);
    *raw = err == ERR_NONE && !saves_enough(a->chain.size, estimate);
    if (err != ERR_NONE || *raw)
        return err;
    atomic_store(&a->running->done, 0);
    err = open_writer(a, cold_bound(a->chain.size), e);
    if (err == ERR_NONE)
        err = cold_encode(&request, &a->encoded, e);
    *raw = err == ERR_NONE && !saves_enough(a->chain.size, a->encoded.stored_size);
    if (!*raw)
        return err;
    free(steal_ptr(a->encoded.seek_table));
    return ERR_NONE;
}

static enum err copy(struct attempt *a, struct error *e)
{
    bool raw = a->move->to != TIER_COLD;
    enum err err = raw ? ERR_NONE : copy_encoded(a, &raw, e);
    if (err == ERR_NONE && raw)
        err = copy_raw(a, e);
    if (err == ERR_NONE && is_stopping(a))
        err = error_set(e, ERR_UNAVAILABLE, "cancelled");
    return err != ERR_NONE ? blame_source(a, err, e)
                           : of_target(a, a->writer->ops->finish(a->writer, e), e);
}

// ---- verifying --------------------------------------------------------------------

// What its row will say; the seek table is the attempt's.
static void describe_copy(const struct attempt *a, struct placement *p)
{
    bool raw = a->encoded.seek_table == NULL;
    *p = (struct placement){.id = a->copy_id,
                            .tier = a->move->to,
                            .stored_size = a->written,
                            .seek_table = raw ? a->pieces : a->encoded.seek_table};
    if (p->seek_table != NULL)
        p->seek_table_size =
            raw ? pieces_table_size(a->chain.size) : a->encoded.seek_table_size;
    snprintf(p->encoding, sizeof p->encoding, "%s", raw ? "raw" : COLD_ENCODING);
}

// Whose bytes are bad, when those of the copy are? ERR_NONE: not the source's.
static enum err check_source(struct attempt *a, struct error *e)
{
    const struct chunk_scan scan = {
        .reader = a->reader,
        .chain = &a->chain,
        .threads = threads_for(&a->storage->tiers[a->source.tier]),
        .throttle = a->throttle,
        .cancel = &a->running->cancel,
    };
    enum err err = a->unchecked ? chunk_scan_run(&scan, e) : ERR_NONE;
    return err != ERR_NONE ? blame_source(a, err, e) : ERR_NONE;
}

static enum err note_pieces(void *context, const void *bytes, size_t size,
                            struct error *e)
{
    struct attempt *a = context;
    (void)e;
    pieces_note(a->pieces, a->noted, bytes, size);
    a->noted += size;
    return ERR_NONE;
}

// For a raw copy in a bucket, made from what is verified; files are handed out by
// sendfile, which checks nothing.
static void begin_pieces(struct attempt *a)
{
    if (a->target->file == NULL && a->encoded.seek_table == NULL && a->chain.size > 0)
        a->pieces = alloc_array(pieces_table_size(a->chain.size), 1);
}

// What the device gives back, not what is still in memory.
static enum err verify(struct attempt *a, struct error *e)
{
    struct placement made;
    bool found = false;
    uint64_t size = 0;
    describe_copy(a, &made);
    const struct tier_key key = {.digest = a->move->digest, .id = a->copy_id};
    struct tier_store *store = a->target->store;
    enum err err = store->ops->stat(store, &key, &found, &size, e);
    if (err == ERR_NONE && (!found || size != made.stored_size))
        err = error_set(e, ERR_UNAVAILABLE,
                        "the %s tier says %" PRIu64 " bytes of the copy's %" PRIu64
                        " are there",
                        tier_name(a->move->to), found ? size : 0, made.stored_size);
    CLEANUP(chunk_reader_free_at) struct chunk_reader *reader = NULL;
    if (err == ERR_NONE)
        err = chunk_reader_new(store, &made, &a->chain, TIER_READ_DIRECT, &reader, e);
    if (err != ERR_NONE)
        return err;
    atomic_store(&a->running->done, 0);
    atomic_store(&a->running->verifying, true);
    begin_pieces(a);
    const struct chunk_scan scan = {
        .reader = reader,
        .chain = &a->chain,
        .threads = threads_for(a->target),
        .sink = a->pieces != NULL ? note_pieces : NULL,
        .context = a,
        .throttle = a->throttle,
        .cancel = &a->running->cancel,
        .done = &a->running->done,
    };
    err = chunk_scan_verify(&scan, e);
    enum err cause = chunk_reader_is_damage(err) ? check_source(a, e) : ERR_NONE;
    if (cause != ERR_NONE)
        return cause;
    if (chunk_reader_is_damage(err) || err == ERR_BLOB_NOT_FOUND)
        return error_set(e, ERR_INTERNAL,
                         "the %s tier gives back other bytes than were written: its "
                         "device or bucket is not to be trusted",
                         tier_name(a->move->to));
    return err;
}

// ---- the attempt ------------------------------------------------------------------

static enum err check_room(struct attempt *a, struct error *e)
{
    uint64_t room = 0;
    enum err err = tier_require(a->target, e);
    if (err == ERR_NONE)
        err =
            tier_room_of_copy(a->target, &a->storage->options, a->move->size, &room, e);
    if (err == ERR_NONE && room < a->move->size)
        err = error_set(e, ERR_INSUFFICIENT_STORAGE,
                        "the %s tier has %" PRIu64 " bytes left, the blob has %" PRIu64
                        ": demote or delete something, or give the tier more room",
                        tier_name(a->move->to), room, a->move->size);
    return err;
}

// A copy that is there already stands for the move's only if it can be seen now.
static enum err check_target(struct attempt *a, struct error *e)
{
    CLEANUP(placement_list_clear) struct placement_list list = {0};
    const struct placement *p = NULL;
    bool seen = false;
    enum err err = placement_list_get(a->storage, &a->move->digest, &list, e);
    for (int i = 0; err == ERR_NONE && i < list.count; i++) {
        if (list.placements[i].tier == a->move->to)
            p = &list.placements[i];
    }
    if (err != ERR_NONE || p == NULL) // move_row_ready looks for it again
        return err;
    err = placement_look(a->storage, &a->move->digest, p, &seen, e);
    if (err != ERR_NONE || (seen && !p->damaged))
        return err;
    err = placement_condemn(a->storage, &a->move->digest, p,
                            p->damaged ? "damaged" : "missing, or its size differs",
                            NULL, e);
    return err != ERR_NONE
               ? err
               : error_set(e, ERR_UNAVAILABLE, "the copy on the %s tier is bad",
                           tier_name(a->move->to));
}

static enum err make_copy(struct attempt *a, bool *made, struct error *e)
{
    CLEANUP(placement_list_clear) struct placement_list list = {0};
    bool exists = false;
    enum err err = blob_chain(a->storage, &a->move->digest, &a->chain, e);
    if (err == ERR_NONE)
        err = move_row_place(a->storage, a->move, &a->copy_id, &exists, e);
    *made = !exists;
    if (err != ERR_NONE || exists)
        return err != ERR_NONE ? err : check_target(a, e);
    err = check_room(a, e);
    if (err == ERR_NONE)
        err = open_source(a, &list, e);
    if (err == ERR_NONE)
        err = copy(a, e);
    if (err == ERR_NONE)
        err = move_row_verifying(a->storage, a->move, a->copy_id, e);
    if (err == ERR_NONE)
        err = verify(a, e);
    chunk_reader_free(steal_ptr(a->reader));
    return err;
}

// A bucket may have become another's, or been emptied and come back, since the copy was
// begun: what was written and read is not what lies there then.
static enum err require_same_target(struct attempt *a, struct error *e)
{
    enum err err = tier_check(a->storage, a->target, e);
    if (err == ERR_NONE && atomic_load(&a->target->absences) != a->absences)
        err = error_set(e, ERR_UNAVAILABLE, "the %s tier was away meanwhile",
                        tier_name(a->move->to));
    return err;
}

static enum err attempt(struct attempt *a, struct error *e)
{
    bool made = false, dropped = false;
    a->absences = atomic_load(&a->target->absences);
    enum err err = move_row_unplace(a->storage, a->move, e);
    if (err == ERR_NONE)
        err = make_copy(a, &made, e);
    if (err == ERR_NONE)
        err = require_same_target(a, e);
    if (err != ERR_NONE)
        return err;
    struct placement copy;
    describe_copy(a, &copy);
    err = move_row_ready(a->storage, a->move, made ? &copy : NULL, &dropped, e);
    blob_copies_changed(a->storage, &a->move->digest);
    return err != ERR_NONE || !dropped
               ? err
               : placement_remove_dropped(a->storage, &a->move->digest, e);
}

static void clean(struct attempt *a)
{
    tier_writer_free_at(&a->writer);
    chunk_reader_free(a->reader);
    chain_clear(&a->chain);
    free(a->encoded.seek_table);
    free(a->pieces);
}

static int64_t delay_ms(const struct move *move)
{
    int64_t delay = DELAY_FIRST_MS;
    for (int64_t i = 1; i < move->attempts && delay < DELAY_MAXIMUM_MS; i++)
        delay *= 2;
    return delay < DELAY_MAXIMUM_MS ? delay : DELAY_MAXIMUM_MS;
}

// What keeps bytes safe is tried for ever, and what waits for a tier or PostgreSQL that
// is away, or for an archive, until it is back.
static bool is_final(const struct move *move, enum err err)
{
    bool waits = err == ERR_UNAVAILABLE || err == ERR_ARCHIVED;
    return err == ERR_BLOB_NOT_FOUND ||
           (move->attempts >= ATTEMPTS_MAXIMUM && !waits &&
            move->cause != MOVE_PROTECT && move->cause != MOVE_HEAL);
}

static bool end(struct attempt *a, enum err err, bool stopped, struct error *why)
{
    const struct move *move = a->move;
    struct error e = {0};
    enum move_state state = err == ERR_NONE       ? MOVE_DONE
                            : stopped             ? MOVE_CANCELLED
                            : is_final(move, err) ? MOVE_FAILED
                                                  : MOVE_QUEUED;
    if (err != ERR_NONE && move_row_unplace(a->storage, move, &e) != ERR_NONE)
        log_warn("an unfinished copy stays for now", "move", log_number(move->id),
                 "error", e.detail, NULL);
    error_clear(&e);
    // The server ends: the move goes on after the next start.
    if (state == MOVE_CANCELLED && movers_are_stopping(a->storage))
        state = MOVE_QUEUED;
    if (state != MOVE_DONE && !stopped)
        log_warn("an attempt at a move failed", "move", log_number(move->id), "attempt",
                 log_number(move->attempts), "error", why->detail, NULL);
    err = move_row_end(a->storage, move, state, stopped ? "" : why->detail,
                       stopped ? 0 : delay_ms(move), &e);
    if (err != ERR_NONE)
        log_warn("the end of a move is not recorded", "move", log_number(move->id),
                 "error", e.detail, NULL);
    error_clear(&e);
    return err == ERR_NONE;
}

bool move_run(struct storage *storage, const struct move *move,
              struct running_move *running, struct throttle *throttle)
{
    struct attempt a = {.storage = storage,
                        .move = move,
                        .running = running,
                        .throttle = throttle,
                        .target = &storage->tiers[move->to]};
    struct error e = {0};
    enum err err =
        is_stopping(&a) ? error_set(&e, ERR_UNAVAILABLE, "cancelled") : attempt(&a, &e);
    bool stopped = err != ERR_NONE && is_stopping(&a);
    clean(&a);
    bool recorded = end(&a, err, stopped, &e);
    error_clear(&e);
    return recorded;
}
