// SPDX-License-Identifier: Apache-2.0
// A whole blob in one body: an upload of one part that nobody can resume. When the blob
// is here already, the body is hashed and discarded.
#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/upload_steps.h"

struct blob_writer {
    struct storage *storage;
    struct digest digest;
    uint64_t size;
    int64_t principal_id;
    struct chain_hasher *hasher;
    bool have;                // nothing is written
    struct upload *upload;    // held; NULL when it is here
    struct part_writer *part; // NULL when it is here, or empty
};

static enum err open_upload(struct blob_writer *w, struct error *e)
{
    struct upload_row row = {
        .principal_id = w->principal_id,
        .size = w->size,
        .part_size = upload_part_count(w->size, CHAIN_CHUNK_SIZE) * CHAIN_CHUNK_SIZE,
        .digest = &w->digest,
    };
    if (row.part_size == 0)
        row.part_size = CHAIN_CHUNK_SIZE;
    enum err err = upload_make_file(w->storage, &row, e);
    if (err == ERR_NONE)
        err = upload_find(w->storage, row.id, w->principal_id, &w->upload, e);
    if (err == ERR_NONE && w->size > 0)
        err = part_writer_new_held(w->storage, w->upload, 0, &w->part, e);
    return err;
}

enum err blob_writer_new(struct storage *storage, const struct digest *digest,
                         uint64_t size, int64_t principal_id,
                         struct blob_writer **writer, struct error *e)
{
    if (size > storage->options.max_blob_size)
        return error_set(e, ERR_BODY_TOO_LARGE, "at most %" PRIu64 " bytes",
                         storage->options.max_blob_size);
    struct blob_writer *w = alloc_zero(sizeof *w);
    *w = (struct blob_writer){.storage = storage,
                              .digest = *digest,
                              .size = size,
                              .principal_id = principal_id,
                              .hasher = chain_hasher_new()};
    struct blob blob;
    enum err err = blob_take(storage, digest, principal_id, &blob, &w->have, e);
    if (err == ERR_NONE && w->have && blob.size != size)
        err = error_set(e, ERR_DIGEST_MISMATCH, "the blob has %" PRIu64 " bytes",
                        blob.size);
    if (err == ERR_NONE && !w->have)
        err = open_upload(w, e);
    if (err == ERR_NONE)
        *writer = w;
    else
        blob_writer_free(w);
    return err;
}

void blob_writer_free(struct blob_writer *w)
{
    if (w == NULL)
        return;
    part_writer_free(w->part);
    if (w->upload != NULL) {
        struct error ignored = {0};
        // Complete, it is done or gone already; otherwise its sender gave it up.
        pthread_mutex_lock(&w->upload->lock);
        bool open = w->upload->state == UPLOAD_OPEN;
        pthread_mutex_unlock(&w->upload->lock);
        if (open && upload_remove_held(w->storage, w->upload, &ignored) != ERR_NONE)
            log_warn("a body that was given up stays until the sweep", "error",
                     ignored.detail, NULL);
        error_clear(&ignored);
        upload_release(w->storage->uploads, w->upload);
    }
    chain_hasher_free(w->hasher);
    free(w);
}

enum err blob_writer_write(struct blob_writer *w, const void *bytes, size_t size,
                           struct error *e)
{
    if (size > w->size - chain_hasher_size(w->hasher))
        return error_set(e, ERR_BODY_LENGTH_MISMATCH, "the body is too long");
    chain_hasher_update(w->hasher, bytes, size);
    return w->have ? ERR_NONE : part_writer_write(w->part, bytes, size, e);
}

// The name must be the bytes' own.
static enum err check(struct blob_writer *w, struct chain *chain, struct error *e)
{
    if (chain_hasher_size(w->hasher) != w->size)
        return error_set(e, ERR_BODY_LENGTH_MISMATCH,
                         "the body ended after %" PRIu64 " of %" PRIu64 " bytes",
                         chain_hasher_size(w->hasher), w->size);
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    chain_hasher_finish(w->hasher, chain);
    chain_digest(chain, &digest);
    digest_format(&digest, hex);
    if (!digest_equal(&digest, &w->digest))
        return error_set(e, ERR_DIGEST_MISMATCH, "the bytes hash to %s", hex);
    return ERR_NONE;
}

static enum err store(struct blob_writer *w, struct chain *chain, bool *created,
                      struct error *e)
{
    struct upload *u = w->upload;
    enum err err = w->part != NULL ? part_writer_end(w->part, e) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    pthread_mutex_lock(&u->lock);
    u->chain = *chain;
    *chain = (struct chain){0};
    if (u->parts > 0) // the sync of `complete` is the part's
        u->slots[0].state = PART_DURABLE;
    pthread_mutex_unlock(&u->lock);
    struct blob blob;
    return upload_complete_held(w->storage, u, &blob, created, e);
}

enum err blob_writer_finish(struct blob_writer *w, bool *created, struct error *e)
{
    CLEANUP(chain_clear) struct chain chain = {0};
    enum err err = check(w, &chain, e);
    *created = false;
    if (err == ERR_NONE && !w->have)
        err = store(w, &chain, created, e);
    return err;
}
