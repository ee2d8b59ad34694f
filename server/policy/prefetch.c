// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/load_order.h"
#include "server/policy/pass.h"
#include "server/policy/pin.h"
#include "server/policy/sql_array.h"

struct fetching {
    struct policy *policy;
    const struct actor *actor;
    enum tier tier;
    const struct content_file **files; // in the order of loading, each blob once
    size_t files_count;
    struct move *moves;
    size_t moves_count;
};

static void fetching_clear(struct fetching *f)
{
    free(f->files);
    free(f->moves);
}

// ---- which files ----------------------------------------------------------------

static bool is_wanted(const struct prefetch_request *request, const char *path,
                      bool *used)
{
    bool wanted = request->files == NULL;
    for (size_t i = 0; i < request->files_count; i++) {
        if (rule_pattern_fits(request->files[i], path, false))
            wanted = used[i] = true;
    }
    return wanted;
}

static enum err choose_files(struct fetching *f, const struct content *content,
                             const struct prefetch_request *request, struct error *e)
{
    AUTO_FREE bool *used = alloc_array(request->files_count + 1, sizeof *used);
    f->files = alloc_array(content->files_count + 1, sizeof *f->files);
    for (size_t i = 0; i < content->files_count; i++) {
        if (is_wanted(request, content->files[i].path, used))
            f->files[f->files_count++] = &content->files[i];
    }
    for (size_t i = 0; i < request->files_count; i++) {
        char field[32];
        snprintf(field, sizeof field, "files[%zu]", i);
        if (!used[i])
            return error_set_field(e, ERR_FILE_NOT_FOUND, field,
                                   "no file of the version fits \"%.200s\"",
                                   request->files[i]);
    }
    qsort(f->files, f->files_count, sizeof *f->files, load_order_compare);
    return ERR_NONE;
}

// ---- the moves ------------------------------------------------------------------

struct numbered {
    struct digest digest;
    size_t place;
};

static int compare_numbered(const void *a, const void *b)
{
    const struct numbered *left = a, *right = b;
    int order = digest_compare(&left->digest, &right->digest);
    if (order != 0)
        return order;
    return left->place < right->place ? -1 : left->place > right->place;
}

// Two files may be one blob; the later one goes.
static void drop_repeats(struct fetching *f)
{
    AUTO_FREE struct numbered *sorted = alloc_array(f->files_count + 1, sizeof *sorted);
    for (size_t i = 0; i < f->files_count; i++)
        sorted[i] = (struct numbered){.digest = f->files[i]->digest, .place = i};
    qsort(sorted, f->files_count, sizeof *sorted, compare_numbered);
    for (size_t i = 1; i < f->files_count; i++) {
        if (digest_equal(&sorted[i].digest, &sorted[i - 1].digest))
            f->files[sorted[i].place] = NULL;
    }
    size_t kept = 0;
    for (size_t i = 0; i < f->files_count; i++) {
        if (f->files[i] != NULL)
            f->files[kept++] = f->files[i];
    }
    f->files_count = kept;
}

// Blobs are locked in order of digest before moves begin in that of loading.
// What is on a faster tier already is left out.
static enum err read_slower(struct db *db, const struct fetching *f,
                            struct db_result **rows, struct error *e)
{
    static const char sql[] =
        "SELECT b.sha256 FROM blobs b WHERE b.sha256 = ANY ($1::bytea[]) AND NOT EXISTS"
        " (SELECT 1 FROM placements p WHERE p.sha256 = b.sha256 AND p.state = 'ready'"
        "  AND p.node_id IN ($2, 0)"
        "  AND array_position(ARRAY['hot', 'warm', 'cold'], p.tier)"
        "   < array_position(ARRAY['hot', 'warm', 'cold'], $3))"
        " ORDER BY b.sha256 FOR NO KEY UPDATE OF b";
    CLEANUP(buf_clear) struct buf digests = {0};
    for (size_t i = 0; i < f->files_count; i++)
        sql_array_digest(&digests, &f->files[i]->digest);
    return db_query(db, sql,
                    DB_PARAMS(sql_array(&digests), DB_INT(f->policy->options.node),
                              DB_TEXT(tier_name(f->tier))),
                    rows, e);
}

static bool is_among(const struct db_result *rows, const struct digest *digest)
{
    int low = 0, high = db_rows(rows);
    while (low < high) {
        int middle = low + (high - low) / 2;
        struct digest found;
        (void)db_digest(rows, middle, 0, &found);
        int order = digest_compare(digest, &found);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static enum err begin_moves(struct db *db, void *context, struct error *e)
{
    struct fetching *f = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    f->moves_count = 0;
    enum err err = read_slower(db, f, &rows, e);
    for (size_t i = 0; err == ERR_NONE && i < f->files_count; i++) {
        struct move_request request = {.digest = f->files[i]->digest,
                                       .to = f->tier,
                                       .cause = MOVE_PREFETCH,
                                       .principal_id = f->actor->principal_id};
        if (!is_among(rows, &request.digest))
            continue;
        err = move_begin_in(db, f->policy->options.storage, &request,
                            &f->moves[f->moves_count], e);
        f->moves_count += err == ERR_NONE;
    }
    return err;
}

enum err prefetch(struct policy *policy, const struct actor *actor,
                  const struct prefetch_request *request, struct move **moves,
                  size_t *count, struct error *e)
{
    CLEANUP(fetching_clear)
    struct fetching f = {.policy = policy, .actor = actor, .tier = request->tier};
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    struct registry *registry = policy->options.registry;
    struct version_key key;
    enum err err =
        version_resolve(registry, request->model, request->selector, &key, e);
    if (err == ERR_NONE)
        err = content_get(registry, NULL, key.id, &entry, e);
    if (err == ERR_NONE)
        err = choose_files(&f, cache_value(entry), request, e);
    if (err != ERR_NONE)
        return err;
    drop_repeats(&f);
    f.moves = alloc_array(f.files_count + 1, sizeof *f.moves);
    err = db_tx_run(policy->options.db, begin_moves, &f, e);
    if (err != ERR_NONE)
        return err;
    storage_wake_movers(policy->options.storage);
    *count = f.moves_count;
    *moves = steal_ptr(f.moves);
    return ERR_NONE;
}
