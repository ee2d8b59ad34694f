// SPDX-License-Identifier: Apache-2.0
// Finds the route of a request.
#pragma once

#include "server/api/route.h"

// Looks a method and a raw path (not yet decoded) up in the table, and decodes the {…}
// parts into request->params. "HEAD" finds GET routes. Errors: ERR_NOT_FOUND;
// ERR_METHOD_NOT_ALLOWED, then allow (256 bytes) holds the value of the Allow header;
// ERR_BAD_REQUEST when a part does not decode to UTF-8 text.
enum err router_find(struct request *request, const char *method, const char *path,
                     const struct route **route, char allow[256],
                     struct error *e) MUST_CHECK;
