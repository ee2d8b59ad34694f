// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_object.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "storage/s3_list.h"
#include "storage/s3_multipart.h"

#define COPY_PIECE ((uint64_t)1 << 30) // a server copies so much within a deadline

// ---- writing ----------------------------------------------------------------------

enum err s3_object_put(struct s3_client *client, const char *key, const void *bytes,
                       size_t size, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {
        .method = "PUT", .key = key, .body = bytes, .body_size = size};
    enum err err = s3_client_run(client, &request, &answer, e);
    return err == ERR_NONE ? s3_object_confirm(client, key, size, e) : err;
}

enum err s3_object_confirm(struct s3_client *client, const char *key, uint64_t size,
                           struct error *e)
{
    bool found;
    uint64_t there;
    enum err err = s3_object_head(client, key, &found, &there, e);
    if (err == ERR_NONE && !found)
        err = error_set(e, ERR_UNAVAILABLE, "S3: %s was acknowledged, and is not there",
                        key);
    if (err == ERR_NONE && there != size)
        err = error_set(e, ERR_UNAVAILABLE,
                        "S3: %s has %" PRIu64 " bytes, not %" PRIu64, key, there, size);
    return err;
}

enum err s3_object_delete(struct s3_client *client, const char *key, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {.method = "DELETE", .key = key};
    enum err err = s3_client_run(client, &request, &answer, e);
    if (err == ERR_BLOB_NOT_FOUND) {
        error_clear(e);
        err = ERR_NONE;
    }
    return err;
}

// ---- asking -----------------------------------------------------------------------

static enum err note_key(void *context, const struct s3_item *item, struct error *e)
{
    const char **key = context;
    (void)e;
    if (strcmp(item->key, *key) == 0)
        *key = NULL;
    return ERR_NONE;
}

static enum err confirm_absence(struct s3_client *client, const char *key,
                                struct error *e)
{
    const char *looked_for = key;
    enum err err = s3_list_objects(client, key, 1, note_key, &looked_for, e);
    if (err == ERR_NONE && looked_for == NULL)
        err = error_set(e, ERR_UNAVAILABLE,
                        "S3: %s stands in the list, and cannot be looked at", key);
    return err;
}

static enum err parse_length(const struct s3_answer *answer, const char *key,
                             uint64_t *size, struct error *e)
{
    const char *length = http_response_header(&answer->http, "content-length");
    char *end;
    errno = 0;
    if (length != NULL && *length >= '0' && *length <= '9') {
        *size = strtoull(length, &end, 10);
        if (errno == 0 && *end == '\0')
            return ERR_NONE;
    }
    return error_set(e, ERR_UNAVAILABLE, "S3 HEAD %s: no size came", key);
}

enum err s3_object_head(struct s3_client *client, const char *key, bool *found,
                        uint64_t *size, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {.method = "HEAD", .key = key};
    enum err err = s3_client_run(client, &request, &answer, e);
    *found = err == ERR_NONE;
    *size = 0;
    if (err == ERR_NONE)
        return parse_length(&answer, key, size, e);
    if (err != ERR_BLOB_NOT_FOUND)
        return err;
    error_clear(e);
    return confirm_absence(client, key, e);
}

// ---- reading ----------------------------------------------------------------------

// 202: it has begun; 409: it had before.
enum err s3_object_ask_back(struct s3_client *client, const char *key, struct error *e)
{
    static const char body[] =
        "<RestoreRequest "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>7</Days>"
        "<GlacierJobParameters><Tier>Standard</Tier></GlacierJobParameters>"
        "</RestoreRequest>";
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    CLEANUP(error_clear) struct error refused = {0};
    struct s3_request request = {.method = "POST",
                                 .key = key,
                                 .query = "restore=",
                                 .body = body,
                                 .body_size = sizeof body - 1};
    bool asked = s3_client_run(client, &request, &answer, &refused) == ERR_NONE ||
                 strcmp(answer.failure.code, "RestoreAlreadyInProgress") == 0;
    return error_set(e, ERR_ARCHIVED,
                     "the copy is in an archive class (403 InvalidObjectState), and "
                     "the bucket %s%s",
                     asked ? "was asked to bring it back" : "does not bring it back: ",
                     asked ? "" : refused.detail);
}

enum err s3_object_read(struct s3_client *client, const char *key, uint64_t offset,
                        void *bytes, size_t size, struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_range range = {.offset = offset, .size = size, .bytes = bytes};
    struct s3_request request = {.method = "GET", .key = key, .range = &range};
    if (size == 0)
        return ERR_NONE;
    return s3_client_run(client, &request, &answer, e);
}

enum err s3_object_get(struct s3_client *client, const char *key, struct buf *text,
                       struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    struct s3_request request = {
        .method = "GET", .key = key, .answer_maximum = text->maximum};
    enum err err = s3_client_run(client, &request, &answer, e);
    if (err == ERR_NONE &&
        !buf_append(text, answer.http.body.data, answer.http.body.size))
        err = error_set(e, ERR_UNAVAILABLE, "S3: %s is too large", key);
    return err;
}

// ---- copying ----------------------------------------------------------------------

static enum err copy_whole(struct s3_client *client, const char *from, const char *to,
                           struct error *e)
{
    CLEANUP(s3_answer_clear) struct s3_answer answer = {0};
    CLEANUP(buf_clear) struct buf source = {0};
    s3_copy_source(client, from, &source);
    const struct http_header header = {"x-amz-copy-source", buf_text(&source)};
    struct s3_request request = {.method = "PUT",
                                 .key = to,
                                 .headers = &header,
                                 .header_count = 1,
                                 .is_slow = true,
                                 .may_fail_late = true};
    return s3_client_run(client, &request, &answer, e);
}

static enum err copy_pieces(struct s3_client *client, const char *from, const char *to,
                            uint64_t size, uint64_t piece, struct error *e)
{
    size_t count = (size_t)((size + piece - 1) / piece);
    CLEANUP(s3_multipart_clear) struct s3_multipart multipart;
    enum err err = s3_multipart_begin(client, to, count, &multipart, e);
    if (err != ERR_NONE)
        return err;
    for (size_t i = 0; i < count && err == ERR_NONE; i++) {
        uint64_t offset = i * piece;
        uint64_t part = size - offset < piece ? size - offset : piece;
        err = s3_multipart_copy(&multipart, (unsigned)i + 1, from, offset, part, e);
    }
    if (err == ERR_NONE)
        err = s3_multipart_complete(&multipart, count, e);
    struct error ignored = {0};
    if (err != ERR_NONE &&
        s3_multipart_abort(client, to, multipart.upload_id, &ignored) != ERR_NONE)
        log_debug("a copy that failed stays", "error", ignored.detail, NULL);
    error_clear(&ignored);
    return err;
}

enum err s3_object_copy(struct s3_client *client, const char *from, const char *to,
                        uint64_t size, uint64_t piece, struct error *e)
{
    piece = piece > 0 ? piece : COPY_PIECE;
    enum err err = size > piece ? copy_pieces(client, from, to, size, piece, e)
                                : copy_whole(client, from, to, e);
    return err == ERR_NONE ? s3_object_confirm(client, to, size, e) : err;
}
