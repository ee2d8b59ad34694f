// SPDX-License-Identifier: Apache-2.0
// Files and objects that no row names (invariant 7).
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/gc.h"
#include "storage/state.h"

#define BATCH 1000

struct seen {
    char *name;
    struct tier_found found; // its name is the above
    bool is_named;
};

struct search {
    struct storage *storage;
    struct storage_tier *tier;
    int64_t before_us; // younger ones may be about to be named
    const atomic_bool *cancel;
    struct seen *seen;
    size_t count;
    struct gc_result *result;
};

static void forget(struct search *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->seen[i].name);
    s->count = 0;
}

// A row is committed before its file is made and goes after it: what was found and has
// none afterwards is nobody's.
static enum err ask(struct search *s, struct error *e)
{
    static const char sql[] =
        "SELECT n FROM unnest($1::bigint[]) n WHERE"
        " EXISTS (SELECT 1 FROM placements p WHERE p.id = n AND p.tier = $2)"
        " OR EXISTS (SELECT 1 FROM uploads u WHERE u.placement_id = n AND u.tier = $2)"
        " OR EXISTS (SELECT 1 FROM garbage g WHERE g.id = n AND g.tier = $2)";
    CLEANUP(buf_clear) struct buf ids = {0};
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    buf_putc(&ids, '{');
    for (size_t i = 0; i < s->count; i++)
        buf_printf(&ids, "%s%lld", i > 0 ? "," : "",
                   (long long)s->seen[i].found.key.id);
    buf_putc(&ids, '}');
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql,
            DB_PARAMS(DB_TEXT(buf_text(&ids)), DB_TEXT(tier_name(s->tier->tier))),
            &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->seen[i].found.key.id == db_int(rows, row, 0))
                s->seen[i].is_named = s->seen[i].found.is_known;
        }
    }
    return err;
}

static void set_aside(struct search *s, const struct tier_found *found)
{
    struct error e = {0};
    enum err err = s->tier->store->ops->quarantine(s->tier->store, found, &e);
    if (err == ERR_NONE) {
        log_warn("what no row names goes to quarantine", "tier",
                 tier_name(s->tier->tier), "name", found->name, NULL);
        s->result->orphans++;
    } else {
        log_debug("what no row names stays", "name", found->name, "error", e.detail,
                  NULL);
    }
    error_clear(&e);
}

static enum err judge(struct search *s, struct error *e)
{
    enum err err = s->count > 0 ? ask(s, e) : ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < s->count; i++) {
        if (!s->seen[i].is_named)
            set_aside(s, &s->seen[i].found);
    }
    forget(s);
    return err;
}

static enum err visit(void *context, const struct tier_found *found, struct error *e)
{
    struct search *s = context;
    if (s->cancel != NULL && atomic_load(s->cancel))
        return error_set(e, ERR_UNAVAILABLE, "cancelled");
    if (found->modified_us >= s->before_us)
        return ERR_NONE;
    struct seen *seen = &s->seen[s->count++];
    *seen = (struct seen){.name = alloc_copy(found->name), .found = *found};
    seen->found.name = seen->name;
    return s->count == BATCH ? judge(s, e) : ERR_NONE;
}

static enum err search_tier(struct search *s, struct error *e)
{
    struct tier_store *store = s->tier->store;
    enum err err = tier_check(s->storage, s->tier, e);
    if (err == ERR_NONE)
        err = store->ops->each(store, visit, s, e);
    if (err == ERR_NONE)
        err = judge(s, e);
    forget(s);
    uint64_t swept = 0;
    if (err == ERR_NONE && store->ops->sweep != NULL)
        err = store->ops->sweep(store, s->before_us, &swept, e);
    s->result->multiparts += (int64_t)swept;
    return err;
}

enum err gc_orphans(struct storage *storage, int64_t age_s, const atomic_bool *cancel,
                    struct gc_result *result, struct error *e)
{
    struct search search = {
        .storage = storage,
        .before_us = clock_wall_us() - age_s * 1000000,
        .cancel = cancel,
        .seen = alloc_array(BATCH, sizeof *search.seen),
        .result = result,
    };
    enum err err = ERR_NONE;
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++) {
        search.tier = &storage->tiers[i];
        if (tier_is_online(search.tier) && !atomic_load(&search.tier->keep_unknown))
            err = search_tier(&search, e);
    }
    free(search.seen);
    return err;
}
