// SPDX-License-Identifier: Apache-2.0
#include "server/registry/document.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_text.h"
#include "server/registry/evaluation.h"
#include "server/registry/model.h"

#define TEXT_MAXIMUM ((size_t)128 << 20)

enum column {
    MODEL,
    NUMBER,
    DIGEST,
    CREATED_AT,
    CREATED_BY,
    ORIGINS,
    SIZE,
    FILES_COUNT,
    DESCRIPTION,
    YANKED_AT,
    YANKED_BY,
    YANK_MESSAGE,
    TAGS,
    ALIASES,
    EVALUATIONS,
    FETCHED, // of a list: rows before the page was cut by its size
};

#define COLUMNS                                                                        \
    "SELECT m.full_name, v.number, v.digest, v.created_at, p.name AS created_by,"      \
    " v.origins, v.size, v.files_count, v.description, v.yanked_at,"                   \
    " y.name AS yanked_by, v.yank_message,"                                            \
    " (SELECT json_object_agg(t.key, t.value ORDER BY t.key COLLATE \"C\")"            \
    "  FROM version_tags t WHERE t.version_id = v.id) AS tags,"                        \
    " (SELECT json_agg(a.alias ORDER BY a.alias)"                                      \
    "  FROM aliases a WHERE a.version_id = v.id) AS aliases,"                          \
    " (SELECT json_agg(x.document ORDER BY x.id DESC) FROM ("                          \
    "   SELECT e.id, " EVALUATION_JSON " AS document" EVALUATION_FROM                  \
    "   WHERE e.version_id = v.id ORDER BY e.id DESC LIMIT 100) x) AS evaluations"     \
    " FROM versions v JOIN models m ON m.id = v.model_id"                              \
    " JOIN principals p ON p.id = v.created_by"                                        \
    " LEFT JOIN principals y ON y.id = v.yanked_by"

void document_free(void *value)
{
    struct document *document = value;
    if (document == NULL)
        return;
    free(document->text);
    free(document);
}

static bool put_file(struct buf *to, const struct content_file *file)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&file->digest, hex);
    return buf_puts(to, "{\"path\":") && json_text_string(to, file->path) &&
           buf_printf(to, ",\"size\":%" PRIu64 ",\"sha256\":\"%s\",\"media_type\":",
                      file->size, hex) &&
           json_text_string(to, file->media_type) && buf_putc(to, '}');
}

static bool put_files(struct buf *to, const struct content *content)
{
    bool fine = buf_puts(to, ",\"files\":[");
    for (size_t i = 0; fine && i < content->files_count; i++)
        fine = (i == 0 || buf_putc(to, ',')) && put_file(to, &content->files[i]);
    return fine && buf_putc(to, ']');
}

static bool put_head(struct buf *to, const struct db_result *rows, int row)
{
    char created[CLOCK_TEXT_SIZE];
    clock_format(db_time(rows, row, CREATED_AT), created);
    // A bytea's text is \x and the digits.
    return buf_puts(to, "{\"model\":") &&
           json_text_string(to, db_text(rows, row, MODEL)) &&
           buf_printf(to, ",\"version\":%s,\"digest\":\"sha256:%s\"",
                      db_text(rows, row, NUMBER), db_text(rows, row, DIGEST) + 2) &&
           buf_printf(to, ",\"created_at\":\"%s\",\"created_by\":", created) &&
           json_text_string(to, db_text(rows, row, CREATED_BY));
}

static bool put_yank(struct buf *to, const struct db_result *rows, int row)
{
    if (db_is_null(rows, row, YANKED_AT))
        return buf_puts(to, ",\"yanked\":null");
    char at[CLOCK_TEXT_SIZE];
    clock_format(db_time(rows, row, YANKED_AT), at);
    return buf_printf(to, ",\"yanked\":{\"at\":\"%s\",\"by\":", at) &&
           json_text_string(to, db_text(rows, row, YANKED_BY)) &&
           buf_puts(to, ",\"message\":") &&
           json_text_string(to, db_text(rows, row, YANK_MESSAGE)) && buf_putc(to, '}');
}

// A column that PostgreSQL made as JSON, written as all other JSON is.
static bool put_column(struct buf *to, const char *key, const struct db_result *rows,
                       int row, enum column column, const char *absent)
{
    if (!buf_printf(to, ",\"%s\":", key))
        return false;
    if (db_is_null(rows, row, (int)column))
        return buf_puts(to, absent);
    AUTO_JSON json_t *json = json_loads(db_text(rows, row, (int)column), 0, NULL);
    return json != NULL && json_text_value(to, json);
}

static bool put_tail(struct buf *to, const struct db_result *rows, int row)
{
    const char *origins = db_text(rows, row, ORIGINS);
    const char *description = db_text(rows, row, DESCRIPTION);
    return buf_putc(to, ',') && buf_append(to, origins + 1, strlen(origins) - 2) &&
           put_column(to, "evaluations", rows, row, EVALUATIONS, "[]") &&
           put_column(to, "tags", rows, row, TAGS, "{}") &&
           buf_puts(to, ",\"description\":") &&
           json_text_string(to, *description == '\0' ? NULL : description) &&
           put_column(to, "aliases", rows, row, ALIASES, "[]") &&
           buf_printf(to, ",\"size\":%s", db_text(rows, row, SIZE)) &&
           put_yank(to, rows, row) && buf_putc(to, '}');
}

static enum err read_row(struct db *db, int64_t version_id, struct db_result **rows,
                         struct error *e)
{
    enum err err = db_query(db, COLUMNS " WHERE v.id = $1",
                            DB_PARAMS(DB_INT(version_id)), rows, e);
    if (err == ERR_NONE && db_rows(*rows) == 0)
        err = error_set(e, ERR_INTERNAL, "a version has gone");
    return err;
}

enum err document_read_new(struct db *db, int64_t version_id,
                           const struct content *content, char **text, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = read_row(db, version_id, &rows, e);
    if (err != ERR_NONE)
        return err;
    CLEANUP(buf_clear) struct buf to;
    buf_init(&to, TEXT_MAXIMUM);
    if (!put_head(&to, rows, 0) || !put_files(&to, content) || !put_tail(&to, rows, 0))
        return error_set(e, ERR_INTERNAL, "a version cannot be rendered");
    free(*text);
    *text = buf_steal(&to);
    return ERR_NONE;
}

enum err document_read(struct registry *registry, struct db *db, int64_t version_id,
                       char **text, struct error *e)
{
    CLEANUP(cache_release_at) struct cache_entry *content = NULL;
    enum err err = content_get(registry, db, version_id, &content, e);
    return err != ERR_NONE
               ? err
               : document_read_new(db, version_id, cache_value(content), text, e);
}

enum err document_get(struct registry *registry, int64_t version_id,
                      struct cache_entry **entry, struct error *e)
{
    *entry =
        registry_cache_get(registry, CACHE_DOCUMENTS, &version_id, sizeof version_id);
    if (*entry != NULL)
        return ERR_NONE;
    uint64_t generation = registry_cache_generation(registry, CACHE_DOCUMENTS);
    CLEANUP(db_release_at) struct db *db = NULL;
    char *text = NULL;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = document_read(registry, db, version_id, &text, e);
    if (err != ERR_NONE)
        return err;
    struct document *document = alloc_zero(sizeof *document);
    *document = (struct document){.text = text, .size = strlen(text)};
    *entry =
        registry_cache_put(registry, CACHE_DOCUMENTS, &version_id, sizeof version_id,
                           document, sizeof *document + document->size, generation);
    return ERR_NONE;
}

// A page ends early, before 8 MiB, so that its memory is bounded.
static const char list_sql[] =
    "SELECT full_name, number, digest, created_at, created_by, origins, size,"
    " files_count, description, yanked_at, yanked_by, yank_message, tags, aliases,"
    " evaluations, fetched FROM ("
    " SELECT page.*, count(*) OVER () AS fetched,"
    "  sum(octet_length(origins) + octet_length(description)"
    "   + coalesce(octet_length(tags::text), 0)"
    "   + coalesce(octet_length(evaluations::text), 0)) OVER (ORDER BY number DESC"
    "   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM (" COLUMNS
    " WHERE v.model_id = $1 AND v.deleted_at IS NULL AND v.number < $2"
    " ORDER BY v.number DESC LIMIT $3) page) sized"
    " WHERE coalesce(before, 0) < 8388608 ORDER BY number DESC";

static bool put_list(struct buf *to, const struct db_result *rows, int count)
{
    bool fine = buf_putc(to, '[');
    for (int row = 0; fine && row < count; row++)
        fine = (row == 0 || buf_putc(to, ',')) && put_head(to, rows, row) &&
               buf_printf(to, ",\"files_count\":%s", db_text(rows, row, FILES_COUNT)) &&
               put_tail(to, rows, row);
    return fine && buf_putc(to, ']');
}

enum err document_list(struct registry *registry, const char *model, int64_t before,
                       int64_t limit, struct buf *to, int64_t *last, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    int64_t model_id = 0;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = model_find(db, model, &model_id, e);
    if (err == ERR_NONE)
        err = db_query(db, list_sql,
                       DB_PARAMS(DB_INT(model_id), DB_INT(before), DB_INT(limit + 1)),
                       &rows, e);
    if (err != ERR_NONE)
        return err;
    int count = db_rows(rows) < limit ? db_rows(rows) : (int)limit;
    if (!put_list(to, rows, count))
        return error_set(e, ERR_INTERNAL, "a list cannot be rendered");
    bool more = count > 0 && db_int(rows, 0, FETCHED) > count;
    *last = more ? db_int(rows, count - 1, NUMBER) : 0;
    return ERR_NONE;
}
