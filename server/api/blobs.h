// SPDX-License-Identifier: Apache-2.0
// Blobs by digest: the handlers of /api/v1/blobs.
#pragma once

#include "server/api/route.h"

// PUT /api/v1/blobs/{sha256}
enum err blob_put_begin(struct request *request, struct body_sink *sink,
                        struct response *response, struct error *e);
// GET /api/v1/blobs/{sha256}
enum err blob_get_handler(struct request *request, struct response *response,
                          struct error *e);
// GET /api/v1/blobs/{sha256}/chain
enum err blob_chain_handler(struct request *request, struct response *response,
                            struct error *e);
