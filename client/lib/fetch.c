// SPDX-License-Identifier: Apache-2.0
#include "client/lib/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define BAD_CHUNK_TRIES 3

// One answer of the server that is being read.
struct stream {
    const struct fetch *fetch;
    struct chain_checker *checker;
    size_t first;
    uint64_t offset; // of the next byte, within the blob
    uint64_t end;
    size_t reported; // chunks
    bool bad;
    bool unsuited;             // not the range that was asked for
    enum strata_status status; // what a callback returned
    struct strata_error *e;
};

static void stream_clear(struct stream *stream)
{
    chain_checker_free(stream->checker);
}

static bool is_asked_range(const struct stream *stream,
                           const struct http_response *response)
{
    if (response->status == 200)
        return stream->offset == 0 && stream->end == stream->fetch->chain->size;
    const char *range = http_response_header(response, "Content-Range");
    unsigned long long start = 0;
    return response->status == 206 && range != NULL &&
           sscanf(range, "bytes %llu-", &start) == 1 && start == stream->offset;
}

static enum strata_status report(struct stream *stream)
{
    size_t done = chain_checker_done(stream->checker);
    while (stream->reported < done) {
        size_t chunk = stream->first + stream->reported++;
        enum strata_status status =
            stream->fetch->checked(stream->fetch->context, chunk, stream->e);
        if (status != STRATA_OK)
            return status;
    }
    return STRATA_OK;
}

// Hands on and checks what lies within one chunk.
static enum strata_status take_piece(struct stream *stream, const char *bytes,
                                     size_t size)
{
    const struct fetch *fetch = stream->fetch;
    enum strata_status status =
        fetch->take(fetch->context, stream->offset, bytes, size, stream->e);
    if (status != STRATA_OK)
        return status;
    stream->offset += size;
    stream->bad = !chain_checker_update(stream->checker, bytes, size);
    return stream->bad ? STRATA_CORRUPT : report(stream);
}

static enum err on_write(void *context, const struct http_response *response,
                         const void *bytes, size_t size, struct error *e)
{
    struct stream *stream = context;
    bool begins = stream->offset == stream->first * CHAIN_CHUNK_SIZE;
    if (size > stream->end - stream->offset ||
        (begins && !is_asked_range(stream, response))) {
        stream->unsuited = true;
        return error_set(e, ERR_INTERNAL, "another range came than was asked for");
    }
    const char *next = bytes;
    while (size > 0) {
        size_t left = (size_t)(CHAIN_CHUNK_SIZE - stream->offset % CHAIN_CHUNK_SIZE);
        size_t piece = size < left ? size : left;
        stream->status = take_piece(stream, next, piece);
        if (stream->status != STRATA_OK)
            return error_set(e, ERR_INTERNAL, "stopped");
        next += piece;
        size -= piece;
    }
    return ERR_NONE;
}

// Asks once for what is left; *at moves on by the chunks that came.
static enum strata_status fetch_once(const struct fetch *fetch, size_t *at, size_t last,
                                     struct stream *stream, struct attempt *attempt,
                                     struct strata_error *e)
{
    const struct chain *chain = fetch->chain;
    stream->fetch = fetch;
    stream->first = *at;
    stream->checker = chain_checker_new(chain, *at);
    stream->offset = *at * CHAIN_CHUNK_SIZE;
    stream->end = last * CHAIN_CHUNK_SIZE + chain_chunk_size(chain->size, last);
    stream->e = e;
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    chain_digest(chain, &digest);
    digest_format(&digest, hex);
    AUTO_FREE char *path = alloc_printf("/api/v1/blobs/%s", hex);
    AUTO_FREE char *range =
        alloc_printf("bytes=%llu-%llu", (unsigned long long)stream->offset,
                     (unsigned long long)stream->end - 1);
    struct http_header header = {"Range", range};
    struct http_request request = {
        .method = "GET",
        .headers = &header,
        .header_count = 1,
        .write = on_write,
        .context = stream,
        .cancel = fetch->cancel,
    };
    struct strata_error error = {0};
    enum strata_status status =
        client_attempt(fetch->client, &request, path, attempt, &error);
    *at += stream->reported;
    if (stream->status != STRATA_OK && !stream->bad)
        return stream->status; // *e is filled in
    if (stream->bad)
        status = fail_set(&error, STRATA_CORRUPT, "chunk %zu of blob %s came wrong",
                          *at, hex);
    else if (stream->unsuited)
        status = fail_set(&error, STRATA_FAILED, "blob %s: another range came", hex);
    else if (status == STRATA_OK && *at <= last)
        status =
            fail_set(&error, STRATA_AWAY, "blob %s: the answer was cut short", hex);
    *e = error;
    return status;
}

enum strata_status fetch_chunks(const struct fetch *fetch, size_t first, size_t count,
                                struct strata_error *e)
{
    // An empty blob has nothing to send.
    if (fetch->chain->size == 0) {
        if (!chain_check_chunk(fetch->chain, 0, "", 0))
            return fail_set(e, STRATA_CORRUPT, "the chain of an empty blob is wrong");
        return fetch->checked(fetch->context, 0, e);
    }
    size_t at = first;
    size_t last = first + count - 1;
    struct backoff backoff = {0};
    int bad = 0;
    while (at <= last) {
        size_t before = at;
        CLEANUP(stream_clear) struct stream stream = {0};
        CLEANUP(attempt_clear) struct attempt attempt = {0};
        enum strata_status status = fetch_once(fetch, &at, last, &stream, &attempt, e);
        if (status == STRATA_OK)
            return STRATA_OK;
        if (at > before) {
            backoff_reset(&backoff);
            bad = 0;
        }
        if (stream.bad && ++bad < BAD_CHUNK_TRIES)
            continue;
        bool again = status == STRATA_AWAY || attempt.retry;
        if (stream.bad || stream.unsuited || stream.status != STRATA_OK || !again ||
            !backoff_wait(fetch->client, &backoff, attempt.retry_after_s, e,
                          fetch->cancel))
            return status;
    }
    return STRATA_OK;
}
