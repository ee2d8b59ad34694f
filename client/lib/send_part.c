// SPDX-License-Identifier: Apache-2.0
// Bodies on their way to the server: a part of an upload, or a small file whole.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/send.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/hex.h"

#define BAD_PART_TRIES 3

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

// One attempt to PUT a body; `chain` is what a part brings of it, or NULL.
static enum strata_status put(struct send *send, const char *path, const char *chain,
                              struct body *body, uint64_t size, struct attempt *attempt,
                              struct strata_error *e)
{
    const struct http_header headers[] = {
        {"Content-Type", "application/octet-stream"},
        {"Strata-Chain", chain},
    };
    struct http_request request = {
        .method = "PUT",
        .headers = headers,
        .header_count = chain != NULL ? 2 : 1,
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

enum strata_status send_small(struct send *send, struct send_item *item,
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
        status = put(send, path, NULL, &body, size, &attempt, e);
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

uint64_t send_part_size(const struct send_item *item, size_t part)
{
    uint64_t left = (uint64_t)item->source->st.st_size - part * item->part_size;
    return left < item->part_size ? left : item->part_size;
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

void send_set_restart(struct send *send, struct send_item *item)
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
            send_set_restart(send, item);
    }
    if (status == STRATA_NOT_FOUND || strcmp(e->type, "part-conflict") == 0) {
        send_set_restart(send, item);
        return STRATA_OK;
    }
    return status;
}

// The values at the borders of a part, from the one before it on; NULL where they are
// not asked for. The caller frees.
static char *part_chain(const struct send_item *item, size_t part)
{
    if (!item->chain_with_parts)
        return NULL;
    // They are complete up to the part's end, and what is there does not change.
    const uint8_t(*states)[CHAIN_STATE_SIZE] = (const uint8_t(*)[CHAIN_STATE_SIZE])(
        item->states != NULL ? item->states : item->source->chain.states);
    size_t first = (size_t)(part * item->part_size / CHAIN_CHUNK_SIZE);
    size_t end = first + chain_count(send_part_size(item, part));
    CLEANUP(buf_clear) struct buf text = {0};
    for (size_t i = part > 0 ? first - 1 : first; i < end; i++) {
        char hex[2 * CHAIN_STATE_SIZE + 1];
        hex_encode(states[i], CHAIN_STATE_SIZE, hex);
        buf_printf(&text, "%s%s", text.size > 0 ? "," : "", hex);
    }
    return buf_steal(&text);
}

enum strata_status send_item_part(struct send *send, struct send_item *item,
                                  size_t part, struct strata_error *e)
{
    AUTO_FREE char *path =
        alloc_printf("/api/v1/uploads/%s/parts/%zu", item->upload, part);
    AUTO_FREE char *chain = part_chain(item, part);
    uint64_t size = send_part_size(item, part);
    CLEANUP(attempt_clear) struct attempt attempt = {0};
    struct backoff backoff = {0};
    int bad = 0;
    for (;;) {
        struct body body = {
            .source = item->source, .fd = item->fd, .offset = part * item->part_size};
        enum strata_status status = put(send, path, chain, &body, size, &attempt, e);
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
