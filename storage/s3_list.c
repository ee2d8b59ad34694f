// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_list.h"

#include <string.h>

#include "common/cleanup.h"

#define PAGE_SIZE 1000
// 1,000 keys of 1,024 bytes, each encoded as three, and what stands around them.
#define PAGE_BYTES_MAXIMUM ((size_t)8 << 20)

static enum err get_page(struct s3_client *client, const struct buf *query,
                         struct s3_page *page, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {.method = "GET",
                                 .query = buf_text(query),
                                 .answer_maximum = PAGE_BYTES_MAXIMUM};
    enum err err = s3_client_run(client, &request, &answer, e);
    if (err == ERR_NONE)
        err = s3_page_parse(answer.http.body.data, answer.http.body.size, page, e);
    return err;
}

// Only what lies below the prefix, whatever the server says.
static enum err visit_page(const struct s3_page *page, const char *prefix, size_t limit,
                           size_t *seen, s3_visit_fn *visit, void *context,
                           struct error *e)
{
    enum err err = ERR_NONE;
    for (size_t i = 0; i < page->count && err == ERR_NONE; i++) {
        if (strncmp(page->items[i].key, prefix, strlen(prefix)) != 0)
            continue;
        if (limit > 0 && *seen == limit)
            break;
        ++*seen;
        err = visit(context, &page->items[i], e);
    }
    return err;
}

static void put_member(struct buf *query, const char *name, const char *value)
{
    buf_printf(query, "%s%s=", query->size > 0 ? "&" : "", name);
    http_url_append(query, value, false);
}

static bool is_same_place(const struct s3_page *a, const struct s3_page *b)
{
    const char *a_upload = a->next_upload != NULL ? a->next_upload : "";
    const char *b_upload = b->next_upload != NULL ? b->next_upload : "";
    return b->next != NULL && strcmp(a->next, b->next) == 0 &&
           strcmp(a_upload, b_upload) == 0;
}

typedef void query_fn(struct buf *query, const char *prefix, size_t limit,
                      const struct s3_page *before);

static enum err each_page(struct s3_client *client, query_fn *make_query,
                          const char *prefix, size_t limit, s3_visit_fn *visit,
                          void *context, struct error *e)
{
    CLEANUP(s3_page_clear) struct s3_page before = {0};
    size_t seen = 0;
    for (;;) {
        CLEANUP(buf_clear) struct buf query = {0};
        CLEANUP(s3_page_clear) struct s3_page page = {0};
        make_query(&query, prefix, limit, &before);
        enum err err = get_page(client, &query, &page, e);
        if (err == ERR_NONE)
            err = visit_page(&page, prefix, limit, &seen, visit, context, e);
        if (err != ERR_NONE || !page.is_truncated || (limit > 0 && seen >= limit))
            return err;
        if (is_same_place(&page, &before))
            return error_set(e, ERR_UNAVAILABLE, "the bucket's list goes in a circle");
        s3_page_clear(&before);
        before = page;
        page = (struct s3_page){0};
    }
}

static void objects_query(struct buf *query, const char *prefix, size_t limit,
                          const struct s3_page *before)
{
    if (before->next != NULL)
        put_member(query, "continuation-token", before->next);
    buf_printf(query, "%sencoding-type=url&list-type=2&max-keys=%zu",
               query->size > 0 ? "&" : "",
               limit > 0 && limit < PAGE_SIZE ? limit : PAGE_SIZE);
    put_member(query, "prefix", prefix);
}

enum err s3_list_objects(struct s3_client *client, const char *prefix, size_t limit,
                         s3_visit_fn *visit, void *context, struct error *e)
{
    return each_page(client, objects_query, prefix, limit, visit, context, e);
}

static void uploads_query(struct buf *query, const char *prefix, size_t limit,
                          const struct s3_page *before)
{
    (void)limit;
    buf_puts(query, "encoding-type=url");
    if (before->next != NULL)
        put_member(query, "key-marker", before->next);
    buf_printf(query, "&max-uploads=%d", PAGE_SIZE);
    put_member(query, "prefix", prefix);
    if (before->next_upload != NULL)
        put_member(query, "upload-id-marker", before->next_upload);
    buf_puts(query, "&uploads=");
}

enum err s3_list_uploads(struct s3_client *client, const char *prefix,
                         s3_visit_fn *visit, void *context, struct error *e)
{
    return each_page(client, uploads_query, prefix, 0, visit, context, e);
}
