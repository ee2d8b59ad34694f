// SPDX-License-Identifier: Apache-2.0
// Content-Digest and Repr-Digest of RFC 9530.
#pragma once

#include <stdbool.h>

#include "common/digest.h"
#include "common/error.h"

#define DIGEST_FIELD_SIZE 64 // with the NUL

// sha-256=:<base64>:
void digest_field_format(const struct digest *digest, char text[DIGEST_FIELD_SIZE]);

// *found is false when the field (or NULL) says nothing of sha-256. ERR_BAD_REQUEST
// when it does not parse.
enum err digest_field_parse(const char *text, struct digest *digest, bool *found,
                            struct error *e) MUST_CHECK;
