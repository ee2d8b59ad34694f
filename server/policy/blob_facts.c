// SPDX-License-Identifier: Apache-2.0
#include "server/policy/blob_facts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/policy/pass.h"

#define TIERS "ARRAY['hot', 'warm', 'cold']"

// $2: this node. Of the versions that ask for the same tier any may give the rule.
static const char facts_sql[] =
    "SELECT b.sha256, b.size, now(), b.created_at, c.hot, c.warm, c.cold, h.heat,"
    " h.heat_at, h.windows, h.last_read_at, pin.tier, pin.until, held.tier, held.until,"
    " r.tier, r.rule, m.id, m.to_tier, m.drops, m.cause, m.rule, q.cancelled_move,"
    // The policy's own change of mind is no reason to wait.
    " CASE WHEN l.state = 'failed' OR l.state = 'cancelled'"
    "  AND l.id IS DISTINCT FROM q.cancelled_move THEN l.to_tier END, l.finished_at"
    " FROM blobs b"
    " LEFT JOIN LATERAL (SELECT max(p.since) FILTER (WHERE p.tier = 'hot') AS hot,"
    "   max(p.since) FILTER (WHERE p.tier = 'warm') AS warm,"
    "   max(p.since) FILTER (WHERE p.tier = 'cold') AS cold"
    "  FROM placements p WHERE p.sha256 = b.sha256 AND p.node_id IN ($2, 0)"
    "  AND p.state = 'ready' AND NOT p.damaged) c ON true"
    " LEFT JOIN heat h ON h.sha256 = b.sha256"
    " LEFT JOIN LATERAL (SELECT min(array_position(" TIERS ", n.tier)) AS tier,"
    "   min(n.until) AS until FROM pin_blobs pb JOIN pins n ON n.id = pb.pin_id"
    "  WHERE pb.sha256 = b.sha256 AND (n.until IS NULL OR n.until > now()))"
    "  pin ON pin.tier IS NOT NULL"
    " LEFT JOIN holds held ON held.sha256 = b.sha256 AND held.until > now()"
    " LEFT JOIN LATERAL (SELECT v.tier, v.rule FROM version_files f"
    "   JOIN version_policy v ON v.version_id = f.version_id"
    "  WHERE f.sha256 = b.sha256 AND v.tier IS NOT NULL"
    "  ORDER BY array_position(" TIERS ", v.tier), v.version_id LIMIT 1) r ON true"
    " LEFT JOIN LATERAL (SELECT a.id, a.to_tier, a.drops, a.cause, a.rule FROM moves a"
    "  WHERE a.sha256 = b.sha256 AND a.node_id = $2 AND a.finished_at IS NULL"
    "  AND NOT a.cancelled ORDER BY a.id DESC LIMIT 1) m ON true"
    " LEFT JOIN blob_policy q ON q.sha256 = b.sha256"
    " LEFT JOIN LATERAL (SELECT a.id, a.state, a.to_tier, a.finished_at FROM moves a"
    "  WHERE a.sha256 = b.sha256 AND a.node_id = $2 AND a.finished_at IS NOT NULL"
    "  ORDER BY a.id DESC LIMIT 1) l ON true"
    " WHERE b.sha256 = ANY ($1::bytea[]) ORDER BY b.sha256";

// Columns, in the order above.
enum {
    SHA256,
    SIZE,
    NOW,
    CREATED_AT,
    SINCE,
    HEAT = SINCE + TIER_COUNT,
    HEAT_AT,
    WINDOWS,
    READ_AT,
    PIN_TIER,
    PIN_UNTIL,
    HOLD_TIER,
    HOLD_UNTIL,
    RULE_TIER,
    RULE,
    MOVE_ID,
    MOVE_TO,
    MOVE_DROPS,
    MOVE_CAUSE,
    MOVE_RULE_NAME,
    OWN_CANCEL,
    FAILED_TO,
    FAILED_AT,
};

static void take_wishes(struct blob_facts *blob, const struct db_result *rows, int row)
{
    struct decide_blob *in = &blob->in;
    in->is_pinned = !db_is_null(rows, row, PIN_TIER);
    in->pin_tier =
        in->is_pinned ? (enum tier)(db_int(rows, row, PIN_TIER) - 1) : TIER_COLD;
    in->pin_until_us = db_time(rows, row, PIN_UNTIL);
    in->is_held = tier_parse(db_text(rows, row, HOLD_TIER), &in->hold_tier);
    in->hold_until_us = db_time(rows, row, HOLD_UNTIL);
    in->has_rule = tier_parse(db_text(rows, row, RULE_TIER), &in->rule_tier);
    snprintf(blob->rule, sizeof blob->rule, "%s", db_text(rows, row, RULE));
    in->rule = blob->rule;
}

static void take_moves(struct blob_facts *blob, const struct db_result *rows, int row)
{
    blob->is_moving = tier_parse(db_text(rows, row, MOVE_TO), &blob->move_to);
    blob->move_id = db_int(rows, row, MOVE_ID);
    blob->move_drops = db_bool(rows, row, MOVE_DROPS);
    snprintf(blob->move_rule, sizeof blob->move_rule, "%s",
             db_text(rows, row, MOVE_RULE_NAME));
    if (blob->is_moving)
        (void)move_cause_parse(db_text(rows, row, MOVE_CAUSE), &blob->move_cause);
    blob->own_cancel = db_int(rows, row, OWN_CANCEL);
    if (tier_parse(db_text(rows, row, FAILED_TO), &blob->in.failed_tier))
        blob->in.failed_us = db_time(rows, row, FAILED_AT);
}

static void take_row(struct blob_facts *blob, const struct db_result *rows, int row)
{
    *blob = (struct blob_facts){.in.size = (uint64_t)db_int(rows, row, SIZE),
                                .in.created_us = db_time(rows, row, CREATED_AT)};
    (void)db_digest(rows, row, SHA256, &blob->digest);
    for (int tier = 0; tier < TIER_COUNT; tier++)
        blob->in.since_us[tier] = db_time(rows, row, SINCE + tier);
    blob->in.heat = (struct heat){.heat = db_double(rows, row, HEAT),
                                  .at_us = db_time(rows, row, HEAT_AT),
                                  .windows = (uint64_t)db_int(rows, row, WINDOWS),
                                  .read_us = db_time(rows, row, READ_AT)};
    take_wishes(blob, rows, row);
    take_moves(blob, rows, row);
}

void blob_facts_clear(struct blob_facts_list *list)
{
    free(list->blobs);
    *list = (struct blob_facts_list){0};
}

enum err blob_facts_read(struct db *db, const struct policy *policy,
                         struct db_param digests, struct blob_facts_list *list,
                         struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    *list = (struct blob_facts_list){0};
    enum err err = db_query(db, facts_sql,
                            DB_PARAMS(digests, DB_INT(policy->options.node)), &rows, e);
    if (err != ERR_NONE)
        return err;
    list->count = (size_t)db_rows(rows);
    list->blobs = alloc_array(list->count + 1, sizeof *list->blobs);
    for (size_t i = 0; i < list->count; i++)
        take_row(&list->blobs[i], rows, (int)i);
    if (list->count > 0)
        list->now_us = db_time(rows, 0, NOW);
    return ERR_NONE;
}

static int compare_digest(const void *digest, const void *blob)
{
    return digest_compare(digest, &((const struct blob_facts *)blob)->digest);
}

struct blob_facts *blob_facts_find(const struct blob_facts_list *list,
                                   const struct digest *digest)
{
    return list->count == 0 ? NULL
                            : bsearch(digest, list->blobs, list->count,
                                      sizeof *list->blobs, compare_digest);
}
