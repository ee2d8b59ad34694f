// SPDX-License-Identifier: Apache-2.0
#include "server/api/blobs.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "server/api/bytes.h"
#include "server/api/conditions.h"
#include "server/api/place.h"
#include "storage/upload.h"

// ---- in ---------------------------------------------------------------------------

static enum err put_write(void *context, const void *bytes, size_t size,
                          struct error *e)
{
    return blob_writer_write(context, bytes, size, e);
}

static enum err put_finish(void *context, struct request *request,
                           struct response *response, struct error *e)
{
    bool created;
    enum err err = blob_writer_finish(context, &created, e);
    if (err != ERR_NONE)
        return err;
    blob_writer_free(context);
    metrics_add(request->app->metrics, METRIC_BLOBS_STORED, created);
    response_json(response, created ? 201 : 200,
                  json_pack("{s:s, s:I}", "sha256", request->params[0], "size",
                            (json_int_t)request->content_length));
    return ERR_NONE;
}

static void put_abort(void *context)
{
    blob_writer_free(context);
}

enum err blob_put_begin(struct request *request, struct body_sink *sink,
                        struct response *response, struct error *e)
{
    (void)response;
    struct digest digest;
    struct blob_writer *writer = NULL;
    enum err err = place_digest(request, &digest, e);
    if (err == ERR_NONE)
        err = blob_writer_new(request->app->storage, &digest,
                              (uint64_t)request->content_length,
                              request->who.principal_id, &writer, e);
    if (err == ERR_NONE)
        *sink = (struct body_sink){.context = writer,
                                   .write = put_write,
                                   .finish = put_finish,
                                   .abort = put_abort};
    return err;
}

// ---- out --------------------------------------------------------------------------

enum err blob_get_handler(struct request *request, struct response *response,
                          struct error *e)
{
    struct digest digest;
    enum err err = place_digest(request, &digest, e);
    return err != ERR_NONE ? err
                           : bytes_respond(request, response, &digest, NULL, NULL, e);
}

enum err blob_chain_handler(struct request *request, struct response *response,
                            struct error *e)
{
    struct digest digest;
    enum err err = place_digest(request, &digest, e);
    CLEANUP(chain_clear) struct chain chain = {0};
    if (err == ERR_NONE)
        err = blob_chain(request->app->storage, &digest, &chain, e);
    if (err != ERR_NONE)
        return err;
    char etag[DIGEST_HEX_SIZE + 2];
    snprintf(etag, sizeof etag, "\"%s\"", request->params[0]);
    response_header(response, "ETag", etag);
    response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
    if (etag_list_has(request_header(request, "If-None-Match"), etag, true))
        response_empty(response, 304);
    else
        response_json(response, 200, chain_to_json(&chain));
    return ERR_NONE;
}
