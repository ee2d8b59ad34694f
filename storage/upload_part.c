// SPDX-License-Identifier: Apache-2.0
// One attempt at a part: bytes are gathered in a buffer, verified, and written at their
// offset of the upload's file, or compared with it where the part is durable already.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/direct.h"
#include "storage/flush.h"
#include "storage/follower.h"
#include "storage/upload_chain.h"
#include "storage/upload_steps.h"
#include "storage/upload_row.h"

#define BUFFER_SIZE ((size_t)1 << 20)
#define COMPARE_SIZE ((size_t)64 << 10)

struct part_writer {
    struct storage *storage;
    struct upload *upload; // held
    uint64_t number;
    uint64_t offset; // of the part in the file
    uint64_t length; // of the part
    uint64_t done;   // bytes written or compared
    uint32_t attempt;
    bool compares;                 // the part is durable: it is read, not written
    struct chain_checker *checker; // NULL without a chain
    uint8_t *states;  // with chain_with_parts, the first always the one before the part
    EVP_MD_CTX *hash; // NULL without a Content-Digest
    struct digest digest;
    char *buffer;
    size_t buffered;
};

static enum err not_open(struct upload *u, struct error *e)
{
    if (u->state != UPLOAD_GONE)
        return error_set(e, ERR_UPLOAD_NOT_OPEN, "the upload takes no more parts");
    if (u->failure.code != ERR_NONE)
        return error_set(e, u->failure.code, "%s", u->failure.detail);
    return error_set(e, ERR_UPLOAD_NOT_FOUND, "the upload is gone");
}

static struct part_slot *slot_of(struct part_writer *w)
{
    return &w->upload->slots[w->number];
}

// A newer attempt fences the older ones; one at a durable part disturbs nobody.
static enum err begin_attempt(struct part_writer *w, struct error *e)
{
    struct upload *u = w->upload;
    LOCK_SCOPE(&u->lock);
    if (u->state != UPLOAD_OPEN)
        return not_open(u, e);
    struct part_slot *slot = slot_of(w);
    w->compares = slot->state == PART_DURABLE || slot->state == PART_WRITTEN;
    if (!w->compares)
        w->attempt = ++slot->attempt;
    return ERR_NONE;
}

static enum err check_part(struct upload *u, int64_t number, uint64_t size,
                           struct error *e)
{
    if (number < 0 || (uint64_t)number >= u->parts)
        return error_set_field(e, ERR_PART_OUT_OF_RANGE, "n",
                               "the upload has %" PRIu64 " parts, from 0", u->parts);
    uint64_t length = upload_part_length(u->size, u->part_size, (uint64_t)number);
    if (size != length)
        return error_set(e, ERR_BODY_LENGTH_MISMATCH,
                         "part %" PRId64 " has %" PRIu64 " bytes, the body %" PRIu64,
                         number, length, size);
    return ERR_NONE;
}

static struct part_writer *make(struct storage *storage, struct upload *held,
                                uint64_t number)
{
    struct part_writer *w = alloc_zero(sizeof *w);
    w->storage = storage;
    w->upload = held;
    w->number = number;
    w->offset = number * held->part_size;
    w->length = upload_part_length(held->size, held->part_size, number);
    w->buffer = direct_buffer(BUFFER_SIZE);
    if (held->verifies_parts && !held->chain_with_parts)
        w->checker = chain_checker_new(&held->chain, w->offset / CHAIN_CHUNK_SIZE);
    return w;
}

static enum err check_claim(struct upload *u, int64_t number,
                            const struct part_claim *claim, struct error *e)
{
    enum err err = check_part(u, number, claim->size, e);
    if (err != ERR_NONE)
        return err;
    size_t wanted = u->chain_with_parts ? upload_chain_values(u, (uint64_t)number) : 0;
    if (claim->states_count != wanted)
        return error_set_field(e, ERR_INVALID_FIELD, "Strata-Chain",
                               "part %" PRId64 " needs %zu values, not %zu", number,
                               wanted, claim->states_count);
    return ERR_NONE;
}

static void take_states(struct part_writer *w, const struct part_claim *claim)
{
    size_t skipped = w->number > 0 ? 0 : CHAIN_STATE_SIZE; // nothing is before part 0
    size_t size = claim->states_count * CHAIN_STATE_SIZE;
    w->states = alloc_zero(skipped + size);
    memcpy(w->states + skipped, claim->states, size);
    w->checker = chain_checker_new_at(w->upload->size, w->offset / CHAIN_CHUNK_SIZE,
                                      chain_count(w->length),
                                      (const uint8_t(*)[CHAIN_STATE_SIZE])w->states);
}

enum err part_writer_new(struct storage *storage, const char *id, int64_t principal_id,
                         int64_t number, const struct part_claim *claim,
                         struct part_writer **writer, struct error *e)
{
    struct upload *u = NULL;
    enum err err = upload_find(storage, id, principal_id, &u, e);
    if (err != ERR_NONE)
        return err;
    err = check_claim(u, number, claim, e);
    if (err == ERR_NONE)
        err = part_writer_new_held(storage, u, (uint64_t)number, writer, e);
    if (err == ERR_NONE && claim->states_count > 0)
        take_states(*writer, claim);
    if (err == ERR_NONE && claim->digest != NULL) {
        (*writer)->digest = *claim->digest;
        (*writer)->hash = EVP_MD_CTX_new();
        int ok = EVP_DigestInit_ex((*writer)->hash, EVP_sha256(), NULL);
        assert(ok == 1);
        (void)ok;
    }
    upload_release(storage->uploads, u);
    return err;
}

enum err part_writer_new_held(struct storage *storage, struct upload *u,
                              uint64_t number, struct part_writer **writer,
                              struct error *e)
{
    struct part_writer *w =
        make(storage, upload_hold_again(storage->uploads, u), number);
    enum err err = begin_attempt(w, e);
    if (err == ERR_NONE)
        *writer = w;
    else
        part_writer_free(w);
    return err;
}

void part_writer_free(struct part_writer *w)
{
    if (w == NULL)
        return;
    chain_checker_free(w->checker);
    EVP_MD_CTX_free(w->hash);
    free(w->buffer);
    free(w->states);
    upload_release(w->storage->uploads, w->upload);
    free(w);
}

// Takes the slot for one pwrite, or finds that the part has become durable. Waits for a
// pwrite or a seal of an older attempt that is under way.
static enum err enter(struct part_writer *w, struct error *e)
{
    struct upload *u = w->upload;
    struct part_slot *slot = slot_of(w);
    LOCK_SCOPE(&u->lock);
    for (;;) {
        if (u->state != UPLOAD_OPEN)
            return not_open(u, e);
        if (slot->attempt != w->attempt)
            return error_set(e, ERR_PART_SUPERSEDED,
                             "a newer attempt took part %" PRIu64 " over", w->number);
        if (slot->state == PART_DURABLE || slot->state == PART_WRITTEN) {
            w->compares = true;
            return ERR_NONE;
        }
        if (slot->state == PART_EMPTY && !slot->writing)
            break;
        pthread_cond_wait(&u->changed, &u->lock);
    }
    slot->writing = true;
    u->busy++;
    return ERR_NONE;
}

static void leave(struct part_writer *w)
{
    LOCK_SCOPE(&w->upload->lock);
    slot_of(w)->writing = false;
    w->upload->busy--;
    pthread_cond_broadcast(&w->upload->changed);
}

static enum err write_out(struct part_writer *w, struct error *e)
{
    const struct upload *u = w->upload;
    uint64_t at = w->offset + w->done;
    // One extent a part, whatever the order in which the parts' pieces come. Where
    // there is no room, or no such call, the write says so.
    if (u->direct_fd >= 0 && w->done == 0)
        fallocate(u->fd, 0, (off_t)w->offset, (off_t)w->length);
    if (!direct_write(u->direct_fd, u->fd, w->buffer, w->buffered, at))
        return error_set_errno(e, errno, "cannot write part %" PRIu64, w->number);
    // Write-back begins now, so that the sync at the end has little left.
    sync_file_range(u->fd, (off_t)at, (off_t)w->buffered, SYNC_FILE_RANGE_WRITE);
    return ERR_NONE;
}

static enum err compare(struct part_writer *w, struct error *e)
{
    AUTO_FREE char *durable = alloc_grow(NULL, COMPARE_SIZE, 1);
    for (size_t done = 0; done < w->buffered;) {
        size_t want = w->buffered - done;
        if (want > COMPARE_SIZE)
            want = COMPARE_SIZE;
        ssize_t n =
            pread(w->upload->fd, durable, want, (off_t)(w->offset + w->done + done));
        if (n <= 0)
            return error_set_errno(e, n < 0 ? errno : EIO, "cannot read part %" PRIu64,
                                   w->number);
        if (memcmp(durable, w->buffer + done, (size_t)n) != 0)
            return error_set(e, ERR_PART_CONFLICT,
                             "part %" PRIu64 " was received with other bytes",
                             w->number);
        done += (size_t)n;
    }
    return ERR_NONE;
}

static enum err drain(struct part_writer *w, struct error *e)
{
    enum err err = w->compares ? ERR_NONE : enter(w, e);
    if (err != ERR_NONE)
        return err;
    if (w->compares) {
        err = compare(w, e);
    } else {
        err = write_out(w, e);
        leave(w);
    }
    w->done += w->buffered;
    w->buffered = 0;
    return err;
}

static enum err verify(struct part_writer *w, const void *bytes, size_t size,
                       struct error *e)
{
    if (w->hash != NULL)
        EVP_DigestUpdate(w->hash, bytes, size);
    if (w->checker != NULL && !chain_checker_update(w->checker, bytes, size))
        return error_set(e, ERR_DIGEST_MISMATCH,
                         "part %" PRIu64 ": chunk %" PRIu64 " does not fit the chain",
                         w->number,
                         w->offset / CHAIN_CHUNK_SIZE + chain_checker_done(w->checker));
    return ERR_NONE;
}

enum err part_writer_write(struct part_writer *w, const void *bytes, size_t size,
                           struct error *e)
{
    if (size > w->length - w->done - w->buffered)
        return error_set(e, ERR_BODY_LENGTH_MISMATCH,
                         "the body is longer than part "
                         "%" PRIu64,
                         w->number);
    const char *from = bytes;
    while (size > 0) {
        size_t room = BUFFER_SIZE - w->buffered;
        size_t n = size < room ? size : room;
        memcpy(w->buffer + w->buffered, from, n);
        w->buffered += n;
        from += n;
        size -= n;
        if (w->buffered < BUFFER_SIZE)
            break;
        enum err err = verify(w, w->buffer, w->buffered, e);
        if (err == ERR_NONE)
            err = drain(w, e);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

static enum err check_digest(struct part_writer *w, struct error *e)
{
    struct digest digest;
    if (w->hash == NULL)
        return ERR_NONE;
    EVP_DigestFinal_ex(w->hash, digest.bytes, NULL);
    if (!digest_equal(&digest, &w->digest))
        return error_set_field(e, ERR_DIGEST_MISMATCH, "Content-Digest",
                               "part %" PRIu64 " has another SHA-256", w->number);
    return ERR_NONE;
}

// From here on no other attempt writes to the part. *sealed is false when there is
// nothing left to do, since the part was durable already.
static enum err seal(struct part_writer *w, bool *sealed, struct error *e)
{
    struct upload *u = w->upload;
    struct part_slot *slot = slot_of(w);
    LOCK_SCOPE(&u->lock);
    if (u->state != UPLOAD_OPEN)
        return not_open(u, e);
    *sealed = slot->state != PART_DURABLE;
    if (!*sealed)
        return ERR_NONE;
    if (!w->compares && slot->attempt != w->attempt)
        return error_set(e, ERR_PART_SUPERSEDED,
                         "a newer attempt took part %" PRIu64 " over", w->number);
    enum err err = ERR_NONE;
    if (w->states != NULL)
        err = upload_chain_take(u, w->number,
                                w->states + (w->number > 0 ? 0 : CHAIN_STATE_SIZE), e);
    if (err != ERR_NONE)
        return err;
    slot->state = PART_SEALING;
    u->busy++;
    return ERR_NONE;
}

static enum err commit(struct part_writer *w, struct error *e)
{
    struct upload *u = w->upload;
    struct part_slot *slot = slot_of(w);
    enum flush_outcome outcome;
    enum err err = flush_part(w->storage, u, w->number, &outcome, e);
    LOCK_SCOPE(&u->lock);
    // Two repeats of a part in doubt may end side by side.
    if (slot->state != PART_DURABLE)
        slot->state = outcome == FLUSH_DURABLE ? PART_DURABLE : PART_WRITTEN;
    u->busy--;
    pthread_cond_broadcast(&u->changed);
    return err;
}

enum err part_writer_end(struct part_writer *w, struct error *e)
{
    if (w->done + w->buffered != w->length)
        return error_set(e, ERR_BODY_LENGTH_MISMATCH,
                         "the body ended after %" PRIu64 " of %" PRIu64 " bytes",
                         w->done + w->buffered, w->length);
    enum err err = verify(w, w->buffer, w->buffered, e);
    if (err == ERR_NONE)
        err = check_digest(w, e);
    return err != ERR_NONE ? err : drain(w, e);
}

enum err part_writer_finish(struct part_writer *w, struct error *e)
{
    bool sealed = false;
    enum err err = part_writer_end(w, e);
    if (err == ERR_NONE)
        err = seal(w, &sealed, e);
    if (err == ERR_NONE && sealed)
        err = commit(w, e);
    if (err == ERR_NONE)
        follower_wake(w->storage->follower, w->upload);
    return err;
}
