// SPDX-License-Identifier: Apache-2.0
// Repair of a tier before it is used: what the rows name and what lies there are read
// once and brought together. Nothing else works on the tier meanwhile, but movers on a
// bucket that went away and came back. What lies in a bucket is not listed here, which
// could take hours; the scan of GC does that.
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/mover.h"
#include "storage/tier_room.h"
#include "storage/upload_steps.h"

#define LISTED_IN_LOG 20

enum known_kind {
    KNOWN_PLACEMENT,
    KNOWN_UNFINISHED, // a placement whose copy was under way, or was being dropped; a
                      // damaged one is set aside by placement_reap
    KNOWN_OPEN,
    KNOWN_COMPLETING,
    KNOWN_DONE,
};

// A placement or an upload, by the number that its file bears.
struct known {
    int64_t id;
    enum known_kind kind;
    bool has_digest;
    struct digest digest;
    bool ready;                      // a placement
    uint64_t size;                   // stored, of a placement
    bool resumable, incoming, final; // the last two: its file was found there
    char upload[UPLOAD_ID_SIZE];
};

struct stray {
    char *folder, *base;
};

struct repair {
    struct storage *storage;
    struct storage_tier *tier;
    struct known *known; // sorted by id
    size_t known_count, known_capacity;
    struct stray *strays;
    size_t strays_count, strays_capacity;
    int64_t newest; // the highest number that a file bears
};

static void repair_clear(struct repair *r)
{
    for (size_t i = 0; i < r->strays_count; i++) {
        free(r->strays[i].folder);
        free(r->strays[i].base);
    }
    free(r->strays);
    free(r->known);
}

static struct known *add_known(struct repair *r)
{
    if (r->known_count == r->known_capacity) {
        r->known_capacity = r->known_capacity * 2 + 64;
        r->known = alloc_grow(r->known, r->known_capacity, sizeof *r->known);
    }
    struct known *k = &r->known[r->known_count++];
    memset(k, 0, sizeof *k);
    return k;
}

static void add_stray(struct repair *r, const char *folder, const char *base)
{
    if (r->strays_count == r->strays_capacity) {
        r->strays_capacity = r->strays_capacity * 2 + 16;
        r->strays = alloc_grow(r->strays, r->strays_capacity, sizeof *r->strays);
    }
    r->strays[r->strays_count++] =
        (struct stray){.folder = alloc_copy(folder), .base = alloc_copy(base)};
}

static int compare_known(const void *a, const void *b)
{
    int64_t x = ((const struct known *)a)->id, y = ((const struct known *)b)->id;
    return (x > y) - (x < y);
}

// ---- what the rows say ----------------------------------------------------------

static enum err read_placements(struct repair *r, struct db *db, struct error *e)
{
    static const char sql[] =
        "SELECT p.id, p.sha256, p.stored_size, p.state = 'ready',"
        " p.state IN ('copying', 'verifying') AND ($1 > 0 OR EXISTS (SELECT 1"
        "  FROM moves m WHERE m.placement_id = p.id AND m.node_id = $3)) OR"
        " p.state = 'dropping' AND NOT p.damaged AND $1 > 0"
        " FROM placements p WHERE p.node_id = $1 AND p.tier = $2"
        " AND ($4 OR p.state <> 'ready')";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_INT(r->tier->node), DB_TEXT(tier_name(r->tier->tier)),
                  DB_INT(r->storage->options.node), DB_BOOL(r->tier->file != NULL)),
        &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct known *k = add_known(r);
        k->id = db_int(rows, i, 0);
        k->has_digest = db_digest(rows, i, 1, &k->digest);
        k->size = (uint64_t)db_int(rows, i, 2);
        k->ready = db_bool(rows, i, 3);
        k->kind = db_bool(rows, i, 4) ? KNOWN_UNFINISHED : KNOWN_PLACEMENT;
    }
    return err;
}

// What GC has deleted the rows of, and has still to remove.
static enum err read_garbage(struct repair *r, struct db *db, struct error *e)
{
    static const char sql[] =
        "SELECT id, sha256 FROM garbage WHERE node_id = $1 AND tier = $2";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql, DB_PARAMS(DB_INT(r->tier->node), DB_TEXT(tier_name(r->tier->tier))),
        &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct known *k = add_known(r);
        k->id = db_int(rows, i, 0);
        k->has_digest = db_digest(rows, i, 1, &k->digest);
        k->kind = KNOWN_PLACEMENT;
    }
    return err;
}

static enum known_kind kind_of(const char *state)
{
    if (strcmp(state, "open") == 0)
        return KNOWN_OPEN;
    return strcmp(state, "done") == 0 ? KNOWN_DONE : KNOWN_COMPLETING;
}

// Those whose file has become a placement are known as that.
static enum err read_uploads(struct repair *r, struct db *db, struct error *e)
{
    static const char sql[] =
        "SELECT placement_id, id, state, sha256, resumable FROM uploads u"
        " WHERE node_id = $1 AND tier = $2 AND NOT EXISTS"
        " (SELECT 1 FROM placements p WHERE p.id = u.placement_id)"
        " AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.id = u.placement_id)";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_INT(r->storage->options.node), DB_TEXT(tier_name(r->tier->tier))),
        &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct known *k = add_known(r);
        k->id = db_int(rows, i, 0);
        memcpy(k->upload, db_text(rows, i, 1), UPLOAD_ID_SIZE);
        k->kind = kind_of(db_text(rows, i, 2));
        k->has_digest = db_digest(rows, i, 3, &k->digest);
        k->resumable = db_bool(rows, i, 4);
    }
    return err;
}

// The last COMMIT of a stratad that was killed may still be under way: what it holds is
// waited for, so that no file is judged by a row that is about to change.
static enum err await_commits(struct repair *r, struct db *db, struct error *e)
{
    static const char uploads[] = "SELECT 1 FROM uploads WHERE node_id = $1"
                                  " AND state = 'completing' FOR UPDATE";
    static const char copies[] = "SELECT 1 FROM placements WHERE node_id = $1"
                                 " AND tier = $2 AND state <> 'ready' FOR UPDATE";
    enum err err =
        db_query(db, uploads, DB_PARAMS(DB_INT(r->storage->options.node)), NULL, e);
    return err != ERR_NONE ? err
                           : db_query(db, copies,
                                      DB_PARAMS(DB_INT(r->tier->node),
                                                DB_TEXT(tier_name(r->tier->tier))),
                                      NULL, e);
}

static enum err read_rows(struct repair *r, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(r->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = await_commits(r, db, e);
    if (err == ERR_NONE)
        err = read_placements(r, db, e);
    if (err == ERR_NONE)
        err = read_uploads(r, db, e);
    if (err == ERR_NONE)
        err = read_garbage(r, db, e);
    if (err == ERR_NONE && r->known_count > 0)
        qsort(r->known, r->known_count, sizeof *r->known, compare_known);
    return err;
}

// ---- what lies there ------------------------------------------------------------

static bool names(const struct known *k, const struct tier_file_name *file)
{
    if (!file->is_final)
        return k->kind != KNOWN_PLACEMENT || !k->ready;
    return k->has_digest && k->kind != KNOWN_OPEN &&
           digest_equal(&k->digest, &file->digest);
}

static enum err visit(void *context, const char *folder, const char *base,
                      struct error *e)
{
    struct repair *r = context;
    struct tier_file_name name;
    (void)e;
    if (!tier_file_name_parse(folder, base, &name)) {
        add_stray(r, folder, base);
        return ERR_NONE;
    }
    if (name.id > r->newest)
        r->newest = name.id;
    struct known key = {.id = name.id};
    struct known *k = r->known_count == 0 ? NULL
                                          : bsearch(&key, r->known, r->known_count,
                                                    sizeof key, compare_known);
    if (k == NULL || !names(k, &name))
        add_stray(r, folder, base);
    else if (name.is_final)
        k->final = true;
    else
        k->incoming = true;
    return ERR_NONE;
}

// ---- bringing them together -----------------------------------------------------

static enum err reopen(struct repair *r, const struct known *k, struct error *e)
{
    static const char sql[] = "UPDATE uploads SET state = 'open' WHERE id = $1";
    enum err err = tier_file_unpublish(r->tier->file, &k->digest, k->id, e);
    CLEANUP(db_release_at) struct db *db = NULL;
    if (err == ERR_NONE)
        err = db_acquire(r->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_TEXT(k->upload)), NULL, e);
    if (err == ERR_NONE)
        log_info("an upload that was being completed is open again", "upload",
                 k->upload, NULL);
    return err;
}

static enum err repair_upload(struct repair *r, const struct known *k, struct error *e)
{
    bool found = k->incoming || k->final;
    if (k->kind == KNOWN_OPEN && k->incoming && k->resumable)
        return ERR_NONE;
    if (k->kind == KNOWN_COMPLETING && found && k->resumable)
        return reopen(r, k, e);
    if (k->kind == KNOWN_DONE && !found)
        return ERR_NONE;
    log_info("the file of an unfinished upload is removed", "upload", k->upload, NULL);
    enum err err =
        tier_file_remove(r->tier->file, k->has_digest ? &k->digest : NULL, k->id, e);
    if (err != ERR_NONE || k->kind == KNOWN_DONE)
        return err;
    return upload_row_delete(r->storage, k->upload, e);
}

// What a device does not let go, as one that is read-only, stays for later: its row, if
// it has one, still names it. PostgreSQL is waited for.
static enum err leave(const struct repair *r, enum err err, struct error *e)
{
    if (err == ERR_NONE || err == ERR_UNAVAILABLE)
        return err;
    log_warn("a tier cannot be tidied up now", "tier", tier_name(r->tier->tier),
             "error", e != NULL ? e->detail : "", NULL);
    error_clear(e);
    return ERR_NONE;
}

static enum err quarantine(struct repair *r, struct error *e)
{
    enum err err = ERR_NONE;
    for (size_t i = 0; i < r->strays_count && err == ERR_NONE; i++) {
        const struct stray *s = &r->strays[i];
        log_warn("a file that nothing names goes to quarantine", "folder", s->folder,
                 "file", s->base, NULL);
        err = leave(r, tier_file_quarantine(r->tier->file, s->folder, s->base, e), e);
    }
    return err;
}

static void report_missing(struct repair *r)
{
    size_t missing = 0;
    for (size_t i = 0; i < r->known_count; i++) {
        const struct known *k = &r->known[i];
        if (k->kind != KNOWN_PLACEMENT || !k->ready || k->final)
            continue;
        char hex[DIGEST_HEX_SIZE];
        digest_format(&k->digest, hex);
        if (missing++ < LISTED_IN_LOG)
            log_error("the file of a ready placement is missing", "sha256", hex,
                      "placement", log_number(k->id), NULL);
    }
    if (missing > LISTED_IN_LOG)
        log_error("files of ready placements are missing", "count",
                  log_number((long long)missing), NULL);
    atomic_fetch_add(&r->storage->missing_files, missing);
}

// No number that a file bears is given out again, also by a restored database
// (invariant 4).
static enum err pass_newest(struct repair *r, struct error *e)
{
    static const char sql[] =
        "SELECT setval('placement_ids', $1::bigint)"
        " WHERE $1::bigint > (SELECT last_value FROM placement_ids)";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(r->storage->pool, &db, e);
    if (err == ERR_NONE && r->newest > 0)
        err = db_query(db, sql, DB_PARAMS(DB_INT(r->newest)), NULL, e);
    return err;
}

// A copy that was under way, or was being dropped, goes: file first, then row.
static enum err remove_unfinished(struct repair *r, const struct known *k,
                                  struct error *e)
{
    static const char sql[] = "DELETE FROM placements WHERE id = $1";
    const struct tier_key key = {.digest = k->digest, .id = k->id};
    enum err err = r->tier->store->ops->remove(r->tier->store, &key, e);
    CLEANUP(db_release_at) struct db *db = NULL;
    if (err == ERR_NONE)
        err = db_acquire(r->storage->pool, &db, e);
    return err != ERR_NONE ? err : db_exec(db, sql, DB_PARAMS(DB_INT(k->id)), NULL, e);
}

// A copy under way on a tier that comes back is its mover's, which may be at it.
static enum err repair_one(struct repair *r, const struct known *k, struct error *e)
{
    bool in_use = atomic_load(&r->tier->was_online);
    if (k->kind == KNOWN_PLACEMENT || (k->kind == KNOWN_UNFINISHED && in_use))
        return ERR_NONE;
    return k->kind == KNOWN_UNFINISHED ? remove_unfinished(r, k, e)
                                       : repair_upload(r, k, e);
}

// An upload whose placement is there, but whose row was not brought up to date, cannot
// be: both are one transaction. What can be is undone or carried on here.
static enum err reconcile(struct repair *r, struct error *e)
{
    if (r->tier->file != NULL)
        report_missing(r);
    if (atomic_load(&r->tier->keep_unknown))
        return ERR_NONE;
    enum err err = quarantine(r, e);
    for (size_t i = 0; i < r->known_count && err == ERR_NONE; i++)
        err = leave(r, repair_one(r, &r->known[i], e), e);
    return err;
}

static enum err repair_tier(struct storage *storage, struct storage_tier *tier,
                            struct error *e)
{
    CLEANUP(repair_clear) struct repair r = {.storage = storage, .tier = tier};
    enum err err = read_rows(&r, e);
    if (err == ERR_NONE && tier->file != NULL)
        err = tier_file_each(tier->file, visit, &r, e);
    if (err == ERR_NONE)
        err = pass_newest(&r, e);
    return err != ERR_NONE ? err : reconcile(&r, e);
}

enum err storage_bring_online(struct storage *storage, struct storage_tier *tier,
                              struct error *e)
{
    enum err err = tier_claim(storage, tier, e);
    if (err == ERR_NONE && atomic_load(&tier->state) == TIER_CLAIMED)
        err = repair_tier(storage, tier, e);
    if (err == ERR_NONE && atomic_load(&tier->state) == TIER_CLAIMED)
        atomic_store(&tier->state, TIER_ONLINE);
    if (tier_is_online(tier))
        atomic_store(&tier->was_online, true);
    return err;
}

// A database that was restored from a backup is not moved on: it would look newer.
static bool may_advance(const struct storage *storage)
{
    for (int i = 0; i < TIER_COUNT; i++) {
        if (atomic_load(&storage->tiers[i].keep_unknown))
            return false;
    }
    return tier_is_online(&storage->tiers[TIER_HOT]);
}

enum err storage_repair(struct storage *storage, struct error *e)
{
    enum err err = ERR_NONE;
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++)
        err = storage_bring_online(storage, &storage->tiers[i], e);
    if (err == ERR_NONE && may_advance(storage))
        err = tier_epoch_advance(storage, e);
    // What was under way when the last stratad of this node ended is begun again.
    if (err == ERR_NONE)
        err = move_row_requeue(storage, "{}", e);
    return err != ERR_NONE ? err : tier_room_count(storage, e);
}
