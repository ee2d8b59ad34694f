// SPDX-License-Identifier: Apache-2.0
// Bytes that come later: the answer is a move to the hot tier that can be watched, when
// the client prefers that to a slow answer (RFC 7240, respond-async) or when the copy
// is in an archive and nothing else can be done.
#pragma once

#include "server/api/request.h"
#include "server/api/response.h"
#include "storage/tier.h"

// Whether the request would rather have a move than bytes from this tier.
bool promote_is_preferred(struct request *request, enum tier tier);
// 202 with the move, which is begun unless it is under way.
enum err promote_respond(struct request *request, struct response *response,
                         const struct digest *digest, struct error *e) MUST_CHECK;
