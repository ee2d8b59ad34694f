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
#include "common/hex.h"

#define COMPLETES_MAXIMUM 5
#define PARTS_MAXIMUM 100000

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
        bytes += send_part_size(item, (size_t)part);
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
    {
        LOCK_SCOPE(&send->mutex); // the one who hashes looks at it
        item->part_size = (uint64_t)step;
    }
    item->chain_with_parts = json_is_true(json_object_get(upload, "chain_with_parts"));
    if (item->chain_with_parts && item->part_size % CHAIN_CHUNK_SIZE != 0)
        return fail_set(e, STRATA_FAILED, "the server's parts are not of whole chunks");
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

// Whether the upload that a note names can be gone on with. `hex` NULL: the file is not
// hashed yet, so that parts must bring the chain along.
static bool is_usable(const json_t *upload, const char *hex)
{
    const char *sha256 = json_string_value(json_object_get(upload, "sha256"));
    const char *state = json_string_value(json_object_get(upload, "state"));
    bool open = state == NULL || strcmp(state, "open") == 0;
    if (hex != NULL)
        return sha256 == NULL || strcmp(sha256, hex) == 0;
    return !open || json_is_true(json_object_get(upload, "chain_with_parts"));
}

// Goes on with the upload that the state remembers under the key; *found is false when
// there is none. The item holds the note then.
static enum strata_status resume(struct send *send, struct send_item *item,
                                 const struct digest *key, const char *hex, bool *found,
                                 struct strata_error *e)
{
    state_note_close(item->note, true);
    item->note = state_note_open(send->client->state, STATE_UPLOAD, key);
    const char *id = state_note_text(item->note);
    if (!is_id(id))
        return STRATA_OK;
    AUTO_FREE char *path = alloc_printf("/api/v1/uploads/%s", id);
    AUTO_JSON json_t *upload = NULL;
    struct call call = {.method = "GET", .path = path, .cancel = &send->cancel};
    struct strata_error error = {0};
    enum strata_status status = client_call(send->client, &call, &upload, NULL, &error);
    if (status == STRATA_OK && is_usable(upload, hex) &&
        take_upload(send, item, upload, &error) == STRATA_OK) {
        *found = true;
        return STRATA_OK;
    }
    if (status == STRATA_AWAY || status == STRATA_DENIED) { // or cancelled
        *e = error;
        return status;
    }
    return STRATA_OK; // expired, or somebody else's: begin anew
}

// Of an upload that began before the file's digest was known: the file as it lies
// there.
static void file_key(struct digest *key, const struct send *send, const struct stat *st)
{
    AUTO_FREE char *text =
        alloc_printf("%llu %llu %lld %lld.%09ld", (unsigned long long)st->st_dev,
                     (unsigned long long)st->st_ino, (long long)st->st_size,
                     (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    state_key(key, send->client->base, "file", text, NULL);
}

static enum strata_status begin(struct send *send, struct send_item *item, bool *here,
                                struct strata_error *e)
{
    const struct source *source = item->source;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&source->sha256, hex);
    AUTO_JSON json_t *chain = chain_to_json(&source->chain);
    AUTO_JSON json_t *body = json_pack(
        "{s:I, s:s, s:{s:O}, s:s*}", "size", (json_int_t)source->st.st_size, "sha256",
        hex, "chain", "states", json_object_get(chain, "states"), "tier", send->tier);
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
    // One request says no tier; where nothing lies does not matter.
    off_t small = send->tier == NULL ? SEND_SMALL : 0;
    if (item->source->st.st_size <= small) {
        *here = true;
        return send_small(send, item, e);
    }
    struct digest key;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&item->source->sha256, hex);
    bool found = false;
    // One that was sent while it was hashed, and killed between the two ends.
    file_key(&key, send, &item->source->st);
    enum strata_status status = resume(send, item, &key, hex, &found, e);
    if (status == STRATA_OK && !found) {
        state_key(&key, send->client->base, hex, NULL);
        status = resume(send, item, &key, hex, &found, e);
    }
    if (status == STRATA_OK && !found)
        status = begin(send, item, here, e);
    if (status == STRATA_OK && !*here)
        status = source_open(item->source, &item->fd, e);
    return status;
}

// A server that does not know the question, or whose answer is that the file may be
// there, leaves *made false.
static enum strata_status begin_stream(struct send *send, struct send_item *item,
                                       bool *made, struct strata_error *e)
{
    char hex[2 * CHAIN_STATE_SIZE + 1];
    hex_encode(item->states[0], CHAIN_STATE_SIZE, hex);
    AUTO_JSON json_t *body =
        json_pack("{s:I, s:b, s:s, s:s*}", "size", (json_int_t)item->source->st.st_size,
                  "chain_with_parts", 1, "unless_begins", hex, "tier", send->tier);
    AUTO_JSON json_t *answer = NULL;
    struct call call = {.method = "POST",
                        .path = "/api/v1/uploads",
                        .body = body,
                        .cancel = &send->cancel};
    enum strata_status status = client_call(send->client, &call, &answer, NULL, e);
    if (status == STRATA_USAGE)
        return STRATA_OK;
    if (status != STRATA_OK || json_object_get(answer, "id") == NULL)
        return status;
    status = take_upload(send, item, answer, e);
    if (status != STRATA_OK)
        return status;
    state_note_write(item->note, item->upload);
    *made = item->chain_with_parts;
    return STRATA_OK;
}

enum strata_status send_item_stream(struct send *send, struct send_item *item,
                                    bool *made, struct strata_error *e)
{
    struct digest key;
    file_key(&key, send, &item->source->st);
    enum strata_status status = resume(send, item, &key, NULL, made, e);
    if (status == STRATA_OK && !*made)
        status = begin_stream(send, item, made, e);
    if (status == STRATA_OK && *made)
        status = source_open(item->source, &item->fd, e);
    if (!*made)
        send_item_close(item, status == STRATA_OK); // else it is good for the next run
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

// *whole: the blob is what the file holds. An upload that began before the digest was
// known may be of what the file held then, with the same size and time: another begins.
static enum strata_status check_blob(struct send *send, struct send_item *item,
                                     const json_t *blob, bool *whole,
                                     struct strata_error *e)
{
    struct digest digest;
    const char *text = json_string_value(json_object_get(blob, "sha256"));
    *whole = text != NULL && digest_parse(text, &digest) &&
             digest_equal(&digest, &item->source->sha256);
    if (*whole)
        return STRATA_OK;
    if (item->chain_with_parts) {
        send_set_restart(send, item);
        return source_check(item->source, e);
    }
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
    if (status == STRATA_OK)
        return check_blob(send, item, blob, whole, e);
    if (status == STRATA_NOT_FOUND) {
        send_set_restart(send, item);
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
    item->chain_with_parts = false;
    item->upload[0] = '\0';
}
