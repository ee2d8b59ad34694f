// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_multipart.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define ID_MAXIMUM 1024
#define ETAG_MAXIMUM 256

void s3_copy_source(struct s3_client *client, const char *key, struct buf *source)
{
    buf_putc(source, '/');
    http_url_append(source, s3_client_bucket(client), false);
    buf_putc(source, '/');
    http_url_append(source, key, true);
}

static char *upload_query(const char *upload_id, unsigned number)
{
    struct buf query = {0};
    if (number > 0)
        buf_printf(&query, "partNumber=%u&", number);
    buf_puts(&query, "uploadId=");
    http_url_append(&query, upload_id, false);
    return buf_steal(&query);
}

enum err s3_multipart_begin(struct s3_client *client, const char *key,
                            size_t part_count, struct s3_multipart *multipart,
                            struct error *e)
{
    assert(part_count >= 1 && part_count <= S3_PARTS_MAXIMUM);
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {.method = "POST", .key = key, .query = "uploads="};
    *multipart = (struct s3_multipart){0};
    enum err err = s3_client_run(client, &request, &answer, e);
    if (err != ERR_NONE)
        return err;
    const struct buf *body = &answer.http.body;
    AUTO_FREE char *id = s3_xml_find(body->data, body->size, "UploadId");
    if (id == NULL || id[0] == '\0' || strlen(id) > ID_MAXIMUM)
        return error_set(e, ERR_UNAVAILABLE, "S3 POST %s: no upload id came", key);
    *multipart = (struct s3_multipart){.client = client,
                                       .key = key,
                                       .upload_id = steal_ptr(id),
                                       .etags = alloc_array(part_count, sizeof(char *)),
                                       .part_count = part_count};
    return ERR_NONE;
}

void s3_multipart_clear(struct s3_multipart *multipart)
{
    for (size_t i = 0; i < multipart->part_count; i++)
        free(multipart->etags[i]);
    free(multipart->etags);
    free(multipart->upload_id);
    *multipart = (struct s3_multipart){0};
}

static enum err keep_etag(struct s3_multipart *multipart, unsigned number,
                          const char *etag, struct error *e)
{
    if (etag == NULL || etag[0] == '\0' || strlen(etag) > ETAG_MAXIMUM)
        return error_set(e, ERR_UNAVAILABLE, "S3 PUT %s: part %u has no ETag",
                         multipart->key, number);
    char **kept = &multipart->etags[number - 1];
    free(*kept);
    *kept = alloc_copy(etag);
    return ERR_NONE;
}

enum err s3_multipart_put(struct s3_multipart *multipart, unsigned number,
                          const void *bytes, size_t size, struct error *e)
{
    assert(number >= 1 && number <= multipart->part_count);
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    AUTO_FREE char *query = upload_query(multipart->upload_id, number);
    struct s3_request request = {.method = "PUT",
                                 .key = multipart->key,
                                 .query = query,
                                 .body = bytes,
                                 .body_size = size};
    enum err err = s3_client_run(multipart->client, &request, &answer, e);
    if (err == ERR_NONE)
        err =
            keep_etag(multipart, number, http_response_header(&answer.http, "etag"), e);
    return err;
}

enum err s3_multipart_copy(struct s3_multipart *multipart, unsigned number,
                           const char *from, uint64_t offset, uint64_t size,
                           struct error *e)
{
    assert(number >= 1 && number <= multipart->part_count);
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    CLEANUP(buf_clear) struct buf source = {0};
    AUTO_FREE char *query = upload_query(multipart->upload_id, number);
    char range[64];
    s3_copy_source(multipart->client, from, &source);
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset,
             offset + size - 1);
    const struct http_header headers[] = {{"x-amz-copy-source", buf_text(&source)},
                                          {"x-amz-copy-source-range", range}};
    struct s3_request request = {.method = "PUT",
                                 .key = multipart->key,
                                 .query = query,
                                 .headers = headers,
                                 .header_count = ARRAY_SIZE(headers),
                                 .is_slow = true,
                                 .may_fail_late = true};
    enum err err = s3_client_run(multipart->client, &request, &answer, e);
    if (err != ERR_NONE)
        return err;
    const struct buf *body = &answer.http.body;
    AUTO_FREE char *etag = s3_xml_find(body->data, body->size, "ETag");
    return keep_etag(multipart, number, etag, e);
}

static void put_escaped(struct buf *xml, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buf_puts(xml, "&amp;");
            break;
        case '<':
            buf_puts(xml, "&lt;");
            break;
        case '"':
            buf_puts(xml, "&quot;");
            break;
        default:
            buf_putc(xml, *text);
        }
    }
}

static void put_parts(struct buf *xml, const struct s3_multipart *multipart,
                      size_t part_count)
{
    buf_puts(xml, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < part_count; i++) {
        buf_printf(xml, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        put_escaped(xml, multipart->etags[i]);
        buf_puts(xml, "</ETag></Part>");
    }
    buf_puts(xml, "</CompleteMultipartUpload>");
}

enum err s3_multipart_complete(struct s3_multipart *multipart, size_t part_count,
                               struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    CLEANUP(buf_clear) struct buf xml = {0};
    AUTO_FREE char *query = upload_query(multipart->upload_id, 0);
    put_parts(&xml, multipart, part_count);
    struct s3_request request = {.method = "POST",
                                 .key = multipart->key,
                                 .query = query,
                                 .body = xml.data,
                                 .body_size = xml.size,
                                 .is_slow = true,
                                 .may_fail_late = true};
    enum err err = s3_client_run(multipart->client, &request, &answer, e);
    // Completed by a try whose answer was lost; libcurl repeats some by itself, so that
    // the number of tries says nothing.
    if (err == ERR_UPLOAD_NOT_FOUND) {
        error_clear(e);
        err = ERR_NONE;
    }
    return err;
}

enum err s3_multipart_abort(struct s3_client *client, const char *key,
                            const char *upload_id, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    AUTO_FREE char *query = upload_query(upload_id, 0);
    struct s3_request request = {.method = "DELETE", .key = key, .query = query};
    enum err err = s3_client_run(client, &request, &answer, e);
    if (err == ERR_UPLOAD_NOT_FOUND || err == ERR_BLOB_NOT_FOUND) {
        error_clear(e);
        err = ERR_NONE;
    }
    return err;
}
