// SPDX-License-Identifier: Apache-2.0
// Conditional requests of RFC 9110, section 13, by entity tag. There are no dates to
// compare: what is served never changes under its tag.
#pragma once

#include <stdbool.h>

// True when `header`, `*` or a list of entity tags, names `etag` (with its quotes).
// Weak tags match only when `weak` comparison is asked for. NULL matches nothing.
bool etag_list_has(const char *header, const char *etag, bool weak);

// If-Range: a single strong tag that equals `etag`; dates never match.
bool etag_is_same(const char *header, const char *etag);

// If-Match and If-None-Match together: `*` or a list of entity tags, NULL: not given.
struct etag_conditions {
    const char *match;
    const char *none_match;
};
// `context` is a struct etag_conditions. `etag` is NULL when nothing is there, which no
// list names, not even `*`.
bool etag_conditions_hold(const void *context, const char *etag);
