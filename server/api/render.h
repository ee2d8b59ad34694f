// SPDX-License-Identifier: Apache-2.0
// What many answers have in common.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "common/digest.h"
#include "server/api/response.h"

// A time; null for 0.
json_t *render_time(int64_t wall_us);
// A text; null for "".
json_t *render_text(const char *text);
// 64 hex digits.
json_t *render_digest(const struct digest *digest);

// A page of a list by number: {"<plural>":[…],"next_page_token"}; takes `rows` over.
// `next`: the number that the next page begins behind, 0 on the last one.
void respond_numbered_page(struct response *response, const char *plural, json_t *rows,
                           int64_t next);
