// SPDX-License-Identifier: Apache-2.0
#include "server/policy/facts.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/policy/sql_array.h"

void facts_clear(struct facts *facts)
{
    free(facts->versions);
    free(facts->aliases);
    free(facts->tags);
    db_result_free(facts->rows);
    db_result_free(facts->alias_rows);
    db_result_free(facts->tag_rows);
    *facts = (struct facts){0};
}

// $2: how many of a model's newest versions matter; $3: whether reads do.
static const char facts_sql[] =
    "SELECT v.id, v.model_id, m.full_name, v.created_at, v.size,"
    " EXISTS (SELECT 1 FROM parents p JOIN versions c ON c.id = p.version_id"
    "  WHERE p.parent_version_id = v.id AND c.deleted_at IS NULL),"
    " CASE WHEN $3 THEN (SELECT max(h.last_read_at) FROM version_files f"
    "  JOIN heat h ON h.sha256 = f.sha256"
    "  WHERE f.version_id = v.id AND f.size * 100 >= v.size) END,"
    " coalesce(array_position(n.numbers, v.number), 0), now()"
    " FROM versions v JOIN models m ON m.id = v.model_id"
    " JOIN (SELECT d.model_id, ARRAY(SELECT l.number FROM versions l"
    "   WHERE l.model_id = d.model_id AND l.deleted_at IS NULL"
    "   AND l.yanked_at IS NULL ORDER BY l.number DESC LIMIT $2) AS numbers"
    "  FROM (SELECT DISTINCT model_id FROM versions WHERE id = ANY ($1::bigint[])) d)"
    "  n ON n.model_id = v.model_id"
    " WHERE v.id = ANY ($1::bigint[]) AND v.deleted_at IS NULL ORDER BY v.id";
static const char aliases_sql[] = "SELECT version_id, alias FROM aliases"
                                  " WHERE version_id = ANY ($1::bigint[])"
                                  " ORDER BY version_id";
static const char tags_sql[] = "SELECT version_id, key, value FROM version_tags"
                               " WHERE version_id = ANY ($1::bigint[])"
                               " ORDER BY version_id";

static void fill_versions(struct facts *facts)
{
    facts->count = (size_t)db_rows(facts->rows);
    facts->versions = alloc_array(facts->count + 1, sizeof *facts->versions);
    for (size_t i = 0; i < facts->count; i++) {
        int row = (int)i;
        facts->versions[i] =
            (struct version_facts){.id = db_int(facts->rows, row, 0),
                                   .model_id = db_int(facts->rows, row, 1),
                                   .model = db_text(facts->rows, row, 2),
                                   .created_us = db_time(facts->rows, row, 3),
                                   .size = (uint64_t)db_int(facts->rows, row, 4),
                                   .has_children = db_bool(facts->rows, row, 5),
                                   .read_us = db_time(facts->rows, row, 6),
                                   .rank = db_int(facts->rows, row, 7)};
        facts->now_us = db_time(facts->rows, row, 8);
    }
}

// Both in order of id: each version takes its part of the rows.
static void share_aliases(struct facts *facts)
{
    int count = db_rows(facts->alias_rows), row = 0;
    facts->aliases = alloc_array((size_t)count + 1, sizeof *facts->aliases);
    for (int i = 0; i < count; i++)
        facts->aliases[i] = db_text(facts->alias_rows, i, 1);
    for (size_t i = 0; i < facts->count; i++) {
        struct version_facts *version = &facts->versions[i];
        while (row < count && db_int(facts->alias_rows, row, 0) < version->id)
            row++;
        version->aliases = &facts->aliases[row];
        for (; row < count && db_int(facts->alias_rows, row, 0) == version->id; row++)
            version->aliases_count++;
    }
}

static void share_tags(struct facts *facts)
{
    int count = db_rows(facts->tag_rows), row = 0;
    facts->tags = alloc_array((size_t)count + 1, sizeof *facts->tags);
    for (int i = 0; i < count; i++)
        facts->tags[i] = (struct version_tag){.key = db_text(facts->tag_rows, i, 1),
                                              .value = db_text(facts->tag_rows, i, 2)};
    for (size_t i = 0; i < facts->count; i++) {
        struct version_facts *version = &facts->versions[i];
        while (row < count && db_int(facts->tag_rows, row, 0) < version->id)
            row++;
        version->tags = &facts->tags[row];
        for (; row < count && db_int(facts->tag_rows, row, 0) == version->id; row++)
            version->tags_count++;
    }
}

enum err facts_read(struct db *db, const struct tier_rules *rules, const int64_t *ids,
                    size_t count, struct facts *facts, struct error *e)
{
    CLEANUP(buf_clear) struct buf array = {0};
    for (size_t i = 0; i < count; i++)
        sql_array_int(&array, ids[i]);
    struct db_param versions = sql_array(&array);
    *facts = (struct facts){0};
    enum err err = db_query(db, facts_sql,
                            DB_PARAMS(versions, DB_INT(rules->newest_max),
                                      DB_BOOL(rules->idle_min_us >= 0)),
                            &facts->rows, e);
    if (err == ERR_NONE)
        err = db_query(db, aliases_sql, DB_PARAMS(versions), &facts->alias_rows, e);
    if (err == ERR_NONE)
        err = db_query(db, tags_sql, DB_PARAMS(versions), &facts->tag_rows, e);
    if (err != ERR_NONE) {
        facts_clear(facts);
        return err;
    }
    fill_versions(facts);
    share_aliases(facts);
    share_tags(facts);
    return ERR_NONE;
}
