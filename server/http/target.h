// SPDX-License-Identifier: Apache-2.0
// The request target: path and query as they came on the wire, and their decoding. Pure
// functions over untrusted text.
#pragma once

#include <stddef.h>

#include "common/error.h"
#include "server/api/request.h"

#define TARGET_QUERY_MAXIMUM 16

// Splits a request target (RFC 9112 section 3.2) in place: origin-form, or
// absolute-form whose scheme and authority are skipped. *query is "" when there is
// none. ERR_BAD_REQUEST for any other form.
enum err target_split(char *target, char **path, char **query,
                      struct error *e) MUST_CHECK;

// Decodes %XX; the result is valid UTF-8 without NUL, at most `length` bytes and a NUL,
// to be freed. NULL when it does not decode. `plus_is_space` for queries.
char *target_decode(const char *text, size_t length, bool plus_is_space);

// Parses `name=value&…` into pairs (memory kept with the request). ERR_BAD_QUERY for
// what does not decode, a name given twice, or too many of them.
enum err target_parse_query(struct request *request, const char *query,
                            struct request_pair pairs[TARGET_QUERY_MAXIMUM],
                            size_t *count, struct error *e) MUST_CHECK;
