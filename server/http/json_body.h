// SPDX-License-Identifier: Apache-2.0
// The JSON body of a request: from its bytes to an object. A pure function over
// untrusted text.
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "common/error.h"

// A body of ours needs five.
#define JSON_DEPTH_MAXIMUM 64

// ERR_BAD_JSON when it does not parse, names a member twice or is nested too deep;
// ERR_INVALID_FIELD when it is no object. *body is the caller's, NULL after an error.
enum err json_body_parse(const char *text, size_t size, json_t **body,
                         struct error *e) MUST_CHECK;
