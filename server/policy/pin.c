// SPDX-License-Identifier: Apache-2.0
#include "server/policy/pin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "server/policy/pass.h"
#include "server/registry/event.h"
#include "server/registry/version.h"

#define COLUMNS                                                                        \
    "SELECT n.id, coalesce(m.full_name, ''), coalesce(v.number, 0),"                   \
    " coalesce(v.digest, n.sha256), n.tier, n.until, n.created_at, p.name,"            \
    " (SELECT count(*) FROM pin_blobs b WHERE b.pin_id = n.id),"                       \
    " (SELECT coalesce(sum(b.size), 0)::bigint FROM pin_blobs h"                       \
    "  JOIN blobs b ON b.sha256 = h.sha256 WHERE h.pin_id = n.id)"                     \
    " FROM pins n JOIN principals p ON p.id = n.created_by"                            \
    " LEFT JOIN versions v ON v.id = n.version_id"                                     \
    " LEFT JOIN models m ON m.id = v.model_id"

static void fill(struct pin *pin, const struct db_result *rows, int row)
{
    *pin = (struct pin){.id = db_int(rows, row, 0),
                        .version = db_int(rows, row, 2),
                        .until_us = db_time(rows, row, 5),
                        .created_us = db_time(rows, row, 6),
                        .blobs = db_int(rows, row, 8),
                        .bytes = (uint64_t)db_int(rows, row, 9)};
    snprintf(pin->model, sizeof pin->model, "%s", db_text(rows, row, 1));
    snprintf(pin->created_by, sizeof pin->created_by, "%s", db_text(rows, row, 7));
    (void)db_digest(rows, row, 3, &pin->digest);
    (void)tier_parse(db_text(rows, row, 4), &pin->tier);
}

struct pinning {
    struct policy *policy;
    const struct actor *actor;
    const struct pin_request *request;
    struct pin pin;
};

static json_t *event_payload(const struct pin *pin)
{
    char until[CLOCK_TEXT_SIZE] = "";
    if (pin->until_us != 0)
        clock_format(pin->until_us, until);
    return json_pack("{s:I, s:s, s:o}", "id", (json_int_t)pin->id, "tier",
                     tier_name(pin->tier), "until",
                     pin->until_us != 0 ? json_string(until) : json_null());
}

// The subject is what is pinned: `ns/name@N`, or the blob.
static enum err put_event(struct db *db, const struct actor *actor, const char *kind,
                          const struct pin *pin, struct error *e)
{
    if (pin->model[0] != '\0')
        return event_put_version(db, actor, kind, pin->model, pin->version,
                                 event_payload(pin), e);
    char hex[DIGEST_HEX_SIZE];
    digest_format(&pin->digest, hex);
    return event_put(db, actor, kind, hex, event_payload(pin), e);
}

// ---- making one -----------------------------------------------------------------

static enum err insert(struct db *db, const struct pinning *p, int64_t version_id,
                       int64_t *id, struct error *e)
{
    static const char sql[] =
        "INSERT INTO pins (version_id, sha256, tier, until, created_by, token_id)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    const struct pin_request *request = p->request;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(version_id != 0 ? DB_INT(version_id) : DB_NULL,
                  version_id != 0 ? DB_NULL : DB_DIGEST(request->digest),
                  DB_TEXT(tier_name(request->tier)),
                  request->until_us != 0 ? DB_TIME(request->until_us) : DB_NULL,
                  DB_INT(p->actor->principal_id), DB_TEXT(p->actor->token_id)),
        &rows, e);
    if (err == ERR_NONE)
        *id = db_int(rows, 0, 0);
    return err;
}

static enum err pin_version(struct db *db, struct pinning *p, int64_t *id,
                            struct error *e)
{
    static const char sql[] =
        "INSERT INTO pin_blobs (pin_id, sha256)"
        " SELECT DISTINCT $1::bigint, sha256 FROM version_files WHERE version_id = $2";
    struct version_key key;
    // Its row is locked: it is not deleted meanwhile.
    enum err err = version_lock(db, p->request->model, p->request->selector,
                                RESOLVE_LIVE, &key, e);
    if (err == ERR_NONE)
        err = insert(db, p, key.id, id, e);
    return err != ERR_NONE
               ? err
               : db_exec(db, sql, DB_PARAMS(DB_INT(*id), DB_INT(key.id)), NULL, e);
}

static enum err pin_blob(struct db *db, struct pinning *p, int64_t *id, struct error *e)
{
    static const char sql[] =
        "INSERT INTO pin_blobs (pin_id, sha256)"
        " SELECT $1, sha256 FROM blobs WHERE sha256 = $2 FOR KEY SHARE";
    int64_t inserted = 0;
    enum err err = insert(db, p, 0, id, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(*id), DB_DIGEST(p->request->digest)),
                      &inserted, e);
    if (err == ERR_NONE && inserted == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    return err;
}

// Those that have no copy on the tier, or a faster one. In the order of the locks.
static enum err begin_moves(struct db *db, const struct pinning *p, struct error *e)
{
    static const char sql[] =
        "SELECT h.sha256 FROM pin_blobs h WHERE h.pin_id = $1 AND NOT EXISTS"
        " (SELECT 1 FROM placements c WHERE c.sha256 = h.sha256 AND c.state = 'ready'"
        "  AND c.node_id IN ($2, 0)"
        "  AND array_position(ARRAY['hot', 'warm', 'cold'], c.tier)"
        "   <= array_position(ARRAY['hot', 'warm', 'cold'], $3)) ORDER BY h.sha256";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_INT(p->pin.id), DB_INT(p->policy->options.node),
                           DB_TEXT(tier_name(p->request->tier))),
                 &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        struct move move;
        struct move_request request = {.to = p->request->tier,
                                       .cause = MOVE_PIN,
                                       .principal_id = p->actor->principal_id};
        (void)db_digest(rows, row, 0, &request.digest);
        err = move_begin_in(db, p->policy->options.storage, &request, &move, e);
    }
    return err;
}

static enum err read_pin(struct db *db, int64_t id, struct pin *pin, struct error *e)
{
    static const char sql[] = COLUMNS " WHERE n.id = $1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_INT(id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_PIN_NOT_FOUND, "there is no pin %" PRId64, id);
    fill(pin, rows, 0);
    return ERR_NONE;
}

static enum err create_work(struct db *db, void *context, struct error *e)
{
    struct pinning *p = context;
    int64_t id = 0;
    enum err err = p->request->digest != NULL ? pin_blob(db, p, &id, e)
                                              : pin_version(db, p, &id, e);
    if (err == ERR_NONE)
        err = read_pin(db, id, &p->pin, e);
    if (err == ERR_NONE)
        err = begin_moves(db, p, e);
    return err != ERR_NONE ? err : put_event(db, p->actor, "pin.created", &p->pin, e);
}

enum err pin_create(struct policy *policy, const struct actor *actor,
                    const struct pin_request *request, struct pin *pin, struct error *e)
{
    struct pinning p = {.policy = policy, .actor = actor, .request = request};
    if (request->until_us != 0 && request->until_us <= clock_wall_us())
        return error_set_field(e, ERR_INVALID_FIELD, "until", "this has passed");
    enum err err = db_tx_run(policy->options.db, create_work, &p, e);
    if (err != ERR_NONE)
        return err;
    storage_wake_movers(policy->options.storage);
    *pin = p.pin;
    return ERR_NONE;
}

// ---- the others -----------------------------------------------------------------

enum err pin_list(struct policy *policy, int64_t before, int64_t limit,
                  struct pin **pins, size_t *count, struct error *e)
{
    static const char sql[] =
        COLUMNS " WHERE n.id < $1 AND (n.until IS NULL OR n.until > now())"
                " ORDER BY n.id DESC LIMIT $2";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql, DB_PARAMS(DB_INT(before > 0 ? before : INT64_MAX), DB_INT(limit)),
            &rows, e);
    *pins = NULL;
    *count = 0;
    if (err != ERR_NONE)
        return err;
    *count = (size_t)db_rows(rows);
    *pins = alloc_array(*count + 1, sizeof **pins);
    for (size_t i = 0; i < *count; i++)
        fill(&(*pins)[i], rows, (int)i);
    return ERR_NONE;
}

struct unpinning {
    const struct actor *actor;
    int64_t id;
};

static enum err delete_work(struct db *db, void *context, struct error *e)
{
    static const char sql[] = "DELETE FROM pins WHERE id = $1";
    const struct unpinning *u = context;
    struct pin pin;
    int64_t deleted = 0;
    enum err err = read_pin(db, u->id, &pin, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(u->id)), &deleted, e);
    if (err == ERR_NONE && deleted == 0)
        return error_set(e, ERR_PIN_NOT_FOUND, "there is no pin %" PRId64, u->id);
    return err != ERR_NONE ? err : put_event(db, u->actor, "pin.deleted", &pin, e);
}

enum err pin_delete(struct policy *policy, const struct actor *actor, int64_t id,
                    struct error *e)
{
    struct unpinning u = {.actor = actor, .id = id};
    return db_tx_run(policy->options.db, delete_work, &u, e);
}
