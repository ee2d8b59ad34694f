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
