// SPDX-License-Identifier: Apache-2.0
#include "client/lib/send.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define SMALL_MAXIMUM ((off_t)1 << 20) // sent in one request, without asking first
#define BAD_PART_TRIES 3
#define COMPLETES_MAXIMUM 5
#define PARTS_MAXIMUM 100000

// A body that is read from a file.
struct body {
    const struct source *source;
    int fd;
    uint64_t offset;
    struct strata_error error; // when reading failed
};

static enum err on_read(void *context, uint64_t offset, void *bytes, size_t room,
                        size_t *size, struct error *e)
{
    struct body *body = context;
    ssize_t got;
    do
        got = pread(body->fd, bytes, room, (off_t)(body->offset + offset));
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *size = (size_t)got;
        return ERR_NONE;
    }
    if (got < 0)
        fail_errno(&body->error, errno, "%s", body->source->disk);
    else
        fail_set(&body->error, STRATA_LOCAL, "%s changed meanwhile",
                 body->source->disk);
    return error_set(e, ERR_INTERNAL, "stopped");
}

// One attempt to PUT a body.
static enum strata_status put(struct send *send, const char *path, struct body *body,
                              uint64_t size, struct attempt *attempt,
                              struct strata_error *e)
{
    const struct http_header type = {"Content-Type", "application/octet-stream"};
    struct http_request request = {
        .method = "PUT",
        .headers = &type,
        .header_count = 1,
        .body_size = size,
        .read = on_read,
        .context = body,
        .cancel = &send->cancel,
    };
    enum strata_status status =
        client_attempt(send->client, &request, path, attempt, e);
    if (body->error.status != STRATA_OK) {
        *e = body->error;
        return e->status;
    }
    return status;
}

static enum strata_status send_small(struct send *send, struct send_item *item,
                                     struct strata_error *e)
{
    struct source *source = item->source;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&source->sha256, hex);
    AUTO_FREE char *path = alloc_printf("/api/v1/blobs/%s", hex);
    AUTO_FD int fd = -1;
    enum strata_status status = source_open(source, &fd, e);
    if (status != STRATA_OK)
        return status;
    uint64_t size = (uint64_t)source->st.st_size;
    CLEANUP(attempt_clear) struct attempt attempt = {0};
    struct backoff backoff = {0};
    int bad = 0;
    for (;;) {
        struct body body = {.source = source, .fd = fd};
        status = put(send, path, &body, size, &attempt, e);
        if (status == STRATA_OK) {
            bool is_new = attempt.response.status == 201;
            send_count(send, is_new ? size : 0, is_new ? 0 : size);
            return STRATA_OK;
        }
        if (status == STRATA_CORRUPT && source_check(source, e) != STRATA_OK)
            return STRATA_LOCAL;
        if (status == STRATA_CORRUPT && ++bad < BAD_PART_TRIES)
            continue;
        if (!attempt.retry || !backoff_wait(send->client, &backoff,
                                            attempt.retry_after_s, e, &send->cancel))
            return status;
    }
}

static uint64_t part_size(const struct send_item *item, size_t part)
{
    uint64_t left = (uint64_t)item->source->st.st_size - part * item->part_size;
    return left < item->part_size ? left : item->part_size;
}

// Takes the parts that the server has into the item; says how many bytes they are.
static uint64_t mark_received(struct send_item *item, const json_t *upload)
{
    uint64_t bytes = 0;
    size_t i;
    json_t *number;
    json_array_foreach(json_object_get(upload, "received"), i, number)
    {
        json_int_t part = json_integer_value(number);
        if (part < 0 || (size_t)part >= item->part_count ||
            item->parts[part] != PART_MISSING)
            continue;
        item->parts[part] = PART_DONE;
        bytes += part_size(item, (size_t)part);
    }
    return bytes;
}

static enum strata_status take_upload(struct send *send, struct send_item *item,
                                      const json_t *upload, struct strata_error *e)
{
    const char *id = json_string_value(json_object_get(upload, "id"));
    json_int_t size = json_integer_value(json_object_get(upload, "size"));
    json_int_t step = json_integer_value(json_object_get(upload, "part_size"));
    uint64_t wanted = (uint64_t)item->source->st.st_size;
    if (id == NULL || strlen(id) >= sizeof item->upload || step < 1 ||
        (uint64_t)size != wanted || (wanted - 1) / (uint64_t)step >= PARTS_MAXIMUM)
        return fail_set(e, STRATA_FAILED, "the server's answer is no upload of %s",
                        item->source->path);
    snprintf(item->upload, sizeof item->upload, "%s", id);
    item->part_size = (uint64_t)step;
    item->part_count = (size_t)((wanted - 1) / item->part_size + 1);
    item->parts = alloc_zero(item->part_count);
    item->cursor = item->busy = 0;
    const char *state = json_string_value(json_object_get(upload, "state"));
    if (state != NULL && strcmp(state, "open") != 0)
        memset(item->parts, PART_DONE, item->part_count);
    else
        wanted = mark_received(item, upload);
    send_count(send, 0, wanted);
    return STRATA_OK;
}

static bool is_id(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '-')
            return false;
    }
    return size > 0 && size < 64;
}

// Goes on with the upload that the state remembers; *found is false when there is none.
static enum strata_status resume(struct send *send, struct send_item *item, bool *found,
                                 struct strata_error *e)
{
    struct digest key;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&item->source->sha256, hex);
    state_key(&key, send->client->base, hex, NULL);
    item->note = state_note_open(send->client->state, STATE_UPLOAD, &key);
    const char *id = state_note_text(item->note);
    if (!is_id(id))
        return STRATA_OK;
    AUTO_FREE char *path = alloc_printf("/api/v1/uploads/%s", id);
    AUTO_JSON json_t *upload = NULL;
    struct call call = {.method = "GET", .path = path, .cancel = &send->cancel};
    struct strata_error error = {0};
    enum strata_status status = client_call(send->client, &call, &upload, NULL, &error);
    const char *sha256 = json_string_value(json_object_get(upload, "sha256"));
    if (status == STRATA_OK && (sha256 == NULL || strcmp(sha256, hex) == 0) &&
        take_upload(send, item, upload, &error) == STRATA_OK) {
        *found = true;
        return STRATA_OK;
    }
    if (status == STRATA_AWAY || status == STRATA_DENIED) {
        *e = error;
        return status;
    }
    return STRATA_OK; // expired, or somebody else's: begin anew
}

static enum strata_status begin(struct send *send, struct send_item *item, bool *here,
                                struct strata_error *e)
{
    const struct source *source = item->source;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&source->sha256, hex);
    AUTO_JSON json_t *chain = chain_to_json(&source->chain);
    AUTO_JSON json_t *body =
        json_pack("{s:I, s:s, s:{s:O}}", "size", (json_int_t)source->st.st_size,
                  "sha256", hex, "chain", "states", json_object_get(chain, "states"));
    AUTO_JSON json_t *answer = NULL;
    struct call call = {.method = "POST",
                        .path = "/api/v1/uploads",
                        .body = body,
                        .cancel = &send->cancel};
    enum strata_status status = client_call(send->client, &call, &answer, NULL, e);
    if (status != STRATA_OK)
        return status;
    if (json_object_get(answer, "blob") != NULL) {
        *here = true;
        send_count(send, 0, (uint64_t)source->st.st_size);
        return STRATA_OK;
    }
    status = take_upload(send, item, answer, e);
    if (status == STRATA_OK)
        state_note_write(item->note, item->upload);
    return status;
}

enum strata_status send_item_start(struct send *send, struct send_item *item,
                                   bool *here, struct strata_error *e)
{
    if (item->source->st.st_size <= SMALL_MAXIMUM) {
        *here = true;
        return send_small(send, item, e);
    }
    bool found = false;
    enum strata_status status = resume(send, item, &found, e);
    if (status == STRATA_OK && !found)
        status = begin(send, item, here, e);
    if (status == STRATA_OK && !*here)
        status = source_open(item->source, &item->fd, e);
    return status;
}

// Asks again what the server has. Sets item->restart when the upload is gone.
static enum strata_status refresh(struct send *send, struct send_item *item,
                                  struct strata_error *e)
{
    AUTO_FREE char *path = alloc_printf("/api/v1/uploads/%s", item->upload);
    AUTO_JSON json_t *upload = NULL;
    struct call call = {.method = "GET", .path = path, .cancel = &send->cancel};
    enum strata_status status = client_call(send->client, &call, &upload, NULL, e);
    LOCK_SCOPE(&send->mutex);
    if (status == STRATA_NOT_FOUND) {
        item->restart = true;
        return STRATA_OK;
    }
    if (status != STRATA_OK)
        return status;
    const char *state = json_string_value(json_object_get(upload, "state"));
    if (state != NULL && strcmp(state, "open") != 0) {
        for (size_t i = 0; i < item->part_count; i++) {
            if (item->parts[i] == PART_MISSING)
                item->parts[i] = PART_DONE;
        }
        return STRATA_OK;
    }
    uint64_t bytes = mark_received(item, upload);
    send->progress.present += bytes;
    return STRATA_OK;
}

static bool upload_has(const json_t *upload, size_t part)
{
    const char *state = json_string_value(json_object_get(upload, "state"));
    if (state != NULL && strcmp(state, "open") != 0)
        return true;
    size_t i;
    json_t *number;
    json_array_foreach(json_object_get(upload, "received"), i, number)
    {
        if (json_integer_value(number) == (json_int_t)part)
            return true;
    }
    return false;
}

// After a conflict about a part: whether the server has it by now.
static enum strata_status is_received(struct send *send, struct send_item *item,
                                      size_t part, bool *received,
                                      struct strata_error *e)
{
    AUTO_FREE char *path = alloc_printf("/api/v1/uploads/%s", item->upload);
    AUTO_JSON json_t *upload = NULL;
    struct call call = {.method = "GET", .path = path, .cancel = &send->cancel};
    enum strata_status status = client_call(send->client, &call, &upload, NULL, e);
    if (status == STRATA_OK)
        *received = upload_has(upload, part);
    return status;
}

static void set_restart(struct send *send, struct send_item *item)
{
    LOCK_SCOPE(&send->mutex);
    item->restart = true;
}

// What a refused part means. *again: send it once more; otherwise it is settled.
static enum strata_status part_refused(struct send *send, struct send_item *item,
                                       size_t part, int *bad, bool *again,
                                       struct strata_error *e)
{
    enum strata_status status = e->status;
    if (status == STRATA_CORRUPT) {
        if (source_check(item->source, e) != STRATA_OK)
            return STRATA_LOCAL;
        *again = ++*bad < BAD_PART_TRIES;
        return *again ? STRATA_OK : status;
    }
    bool superseded = strcmp(e->type, "part-superseded") == 0;
    if (superseded || strcmp(e->type, "upload-not-open") == 0) {
        bool received = false;
        status = is_received(send, item, part, &received, e);
        *again = !received && superseded && ++*bad < BAD_PART_TRIES;
        if (status == STRATA_OK && !received && !*again)
            set_restart(send, item);
    }
    if (status == STRATA_NOT_FOUND || strcmp(e->type, "part-conflict") == 0) {
        set_restart(send, item);
        return STRATA_OK;
    }
    return status;
}

enum strata_status send_item_part(struct send *send, struct send_item *item,
                                  size_t part, struct strata_error *e)
{
    AUTO_FREE char *path =
        alloc_printf("/api/v1/uploads/%s/parts/%zu", item->upload, part);
    uint64_t size = part_size(item, part);
    CLEANUP(attempt_clear) struct attempt attempt = {0};
    struct backoff backoff = {0};
    int bad = 0;
    for (;;) {
        struct body body = {
            .source = item->source, .fd = item->fd, .offset = part * item->part_size};
        enum strata_status status = put(send, path, &body, size, &attempt, e);
        if (status == STRATA_OK) {
            send_count(send, size, 0);
            return STRATA_OK;
        }
        if (attempt.retry) {
            if (!backoff_wait(send->client, &backoff, attempt.retry_after_s, e,
                              &send->cancel))
                return status;
            continue;
        }
        bool again = false;
        status = part_refused(send, item, part, &bad, &again, e);
        if (status != STRATA_OK || !again)
            return status;
    }
}

static enum strata_status check_blob(const struct send_item *item, const json_t *blob,
                                     struct strata_error *e)
{
    struct digest digest;
    const char *text = json_string_value(json_object_get(blob, "sha256"));
    if (text != NULL && digest_parse(text, &digest) &&
        digest_equal(&digest, &item->source->sha256))
        return STRATA_OK;
    return fail_set(e, STRATA_CORRUPT, "the server has other bytes of %s",
                    item->source->path);
}

enum strata_status send_item_complete(struct send *send, struct send_item *item,
                                      bool *whole, struct strata_error *e)
{
    AUTO_FREE char *path = alloc_printf("/api/v1/uploads/%s/complete", item->upload);
    AUTO_JSON json_t *blob = NULL;
    struct call call = {.method = "POST", .path = path, .cancel = &send->cancel};
    *whole = false;
    enum strata_status status = client_call(send->client, &call, &blob, NULL, e);
    if (status == STRATA_OK) {
        *whole = true;
        return check_blob(item, blob, e);
    }
    if (status == STRATA_NOT_FOUND) {
        set_restart(send, item);
        return STRATA_OK;
    }
    if (status == STRATA_CORRUPT) { // the upload is gone with it
        struct strata_error why = *e;
        send_item_close(item, true);
        if (source_check(item->source, e) != STRATA_OK)
            return STRATA_LOCAL;
        *e = why;
        return status;
    }
    bool parts = strcmp(e->type, "parts-missing") == 0;
    if (!parts || ++item->completes > COMPLETES_MAXIMUM)
        return status;
    {
        LOCK_SCOPE(&send->mutex);
        memset(item->parts, PART_MISSING, item->part_count);
        item->cursor = 0;
    }
    return refresh(send, item, e);
}

void send_item_close(struct send_item *item, bool forget)
{
    if (item->fd >= 0)
        close(item->fd);
    item->fd = -1;
    state_note_close(item->note, forget);
    item->note = NULL;
    free(item->parts);
    item->parts = NULL;
    item->part_count = 0;
    item->upload[0] = '\0';
}
