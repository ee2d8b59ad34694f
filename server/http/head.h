// SPDX-License-Identifier: Apache-2.0
// What libmicrohttpd lets pass in a request's head, and this server does not: a proxy
// in front of it may have read such a head in another way (RFC 9112, sections 2.2 and
// 5).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/api/request.h"

// Texts lie where libmicrohttpd has read them; in place of what ended each stands a
// NUL.
struct head {
    const char *method;
    const char *target;
    size_t target_length; // libmicrohttpd puts a NUL in place of the first `?` as well
    const char *version;
    const struct request_pair *headers;
    size_t headers_count;
    const char *end; // behind the empty line
};

// False when a line ends in a bare LF, is folded, or holds a control character, and
// when the request line has a space too many.
bool head_is_plain(const struct head *head);
