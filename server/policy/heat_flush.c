// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/pass.h"
#include "server/policy/heat.h"
#include "server/policy/sql_array.h"

#define FLUSH_BATCH 1000

struct flushing {
    struct policy *policy;
    const struct tier_rules *rules;
    const struct read_entry *reads; // in order of digest
    size_t count;
};

// The heat until now of those that are still here, locked in order of digest.
static const char read_sql[] =
    "SELECT b.sha256, h.heat, h.heat_at, h.windows, h.last_read_at, b.size,"
    " b.created_at FROM blobs b"
    " LEFT JOIN heat h ON h.sha256 = b.sha256"
    " WHERE b.sha256 = ANY ($1::bytea[]) ORDER BY b.sha256 FOR KEY SHARE OF b";

// $2-$5 belong to $1; heat_at is also the last read. Their copies are ordered anew;
// and those are looked at whose decision this can change: blobs without a hot copy, and
// versions that a rule takes for idle.
static const char write_sql[] =
    "WITH fresh AS (SELECT t.sha256, t.heat, t.windows, t.score,"
    "  'epoch'::timestamptz + t.at_us * interval '1 microsecond' AS at"
    "  FROM unnest($1::bytea[], $2::double precision[], $3::bigint[], $4::bigint[],"
    "   $5::double precision[]) AS t(sha256, heat, at_us, windows, score)),"
    " written AS (INSERT INTO heat AS h (sha256, heat, heat_at, windows, last_read_at)"
    "  SELECT sha256, heat, at, windows, at FROM fresh"
    "  ON CONFLICT (sha256) DO UPDATE SET heat = excluded.heat,"
    "   heat_at = excluded.heat_at, windows = excluded.windows,"
    "   last_read_at = excluded.last_read_at),"
    " scored AS (UPDATE placements p SET heat_score = f.score FROM fresh f"
    "  WHERE p.sha256 = f.sha256 AND p.state <> 'dropping'),"
    " woken AS (INSERT INTO policy_versions (version_id)"
    "  SELECT DISTINCT v.version_id FROM fresh f"
    "   JOIN version_files vf ON vf.sha256 = f.sha256"
    "   JOIN version_policy v ON v.version_id = vf.version_id WHERE $6 AND v.idle)"
    " INSERT INTO policy_blobs (sha256) SELECT f.sha256 FROM fresh f"
    "  WHERE NOT EXISTS (SELECT 1 FROM placements p WHERE p.sha256 = f.sha256"
    "   AND p.tier = 'hot' AND p.state = 'ready')";

static void take_row(struct heat *heat, const struct db_result *rows, int row)
{
    *heat = (struct heat){.heat = db_double(rows, row, 1),
                          .at_us = db_time(rows, row, 2),
                          .windows = (uint64_t)db_int(rows, row, 3),
                          .read_us = db_time(rows, row, 4)};
}

static enum err write_rows(struct db *db, const struct flushing *f,
                           const struct db_result *rows, struct error *e)
{
    enum { SHA256, HEAT, AT, WINDOWS, SCORE, ARRAYS };
    struct buf arrays[ARRAYS] = {0};
    const struct heat_options *options = &f->policy->options.decide.heat;
    size_t next = 0;
    for (int row = 0; row < db_rows(rows); row++) {
        struct heat heat;
        struct digest digest;
        if (!db_digest(rows, row, 0, &digest))
            continue;
        while (next < f->count && digest_compare(&f->reads[next].digest, &digest) < 0)
            next++;
        take_row(&heat, rows, row);
        const struct read_entry *read = &f->reads[next];
        heat_add(options, &heat,
                 heat_reads(read->bytes, (uint64_t)db_int(rows, row, 5), read->reads),
                 read->last_us);
        sql_array_digest(&arrays[SHA256], &digest);
        sql_array_real(&arrays[HEAT], heat.heat);
        sql_array_int(&arrays[AT], heat.at_us);
        sql_array_int(&arrays[WINDOWS], (int64_t)heat.windows);
        sql_array_real(&arrays[SCORE],
                       heat_score(options, &heat, db_time(rows, row, 6)));
    }
    enum err err = db_exec(
        db, write_sql,
        DB_PARAMS(sql_array(&arrays[SHA256]), sql_array(&arrays[HEAT]),
                  sql_array(&arrays[AT]), sql_array(&arrays[WINDOWS]),
                  sql_array(&arrays[SCORE]), DB_BOOL(f->rules->idle_min_us >= 0)),
        NULL, e);
    for (size_t i = 0; i < ARRAYS; i++)
        buf_clear(&arrays[i]);
    return err;
}

static enum err flush_work(struct db *db, void *context, struct error *e)
{
    const struct flushing *f = context;
    CLEANUP(buf_clear) struct buf digests = {0};
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    for (size_t i = 0; i < f->count; i++)
        sql_array_digest(&digests, &f->reads[i].digest);
    enum err err = db_query(db, read_sql, DB_PARAMS(sql_array(&digests)), &rows, e);
    return err != ERR_NONE || db_rows(rows) == 0 ? err : write_rows(db, f, rows, e);
}

static enum err load_rules(struct policy *policy, struct tier_rules **rules,
                           struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(policy->options.db, &db, e);
    return err != ERR_NONE ? err : rules_load(db, rules, e);
}

enum err policy_flush_heat(struct policy *policy, int64_t *blobs, struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    AUTO_FREE struct read_entry *reads = NULL;
    enum err err = load_rules(policy, &rules, e);
    if (err != ERR_NONE) // what was read is kept until the next call
        return err;
    size_t count = read_log_take(policy->options.reads, &reads, NULL);
    for (size_t done = 0; err == ERR_NONE && done < count; done += FLUSH_BATCH) {
        struct flushing f = {.policy = policy, .rules = rules, .reads = reads + done};
        f.count = count - done < FLUSH_BATCH ? count - done : FLUSH_BATCH;
        err = db_tx_run(policy->options.db, flush_work, &f, e);
    }
    if (blobs != NULL)
        *blobs = (int64_t)count;
    return err;
}
