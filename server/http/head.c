// SPDX-License-Identifier: Apache-2.0
#include "server/http/head.h"

#include <string.h>

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static const char *skip_plain(const char *at)
{
    while (*at != '\0' && !is_control(*at))
        at++;
    return at;
}

// The CR LF of a line has become two NULs.
static const char *skip_end(const char *at)
{
    return at[0] == '\0' && at[1] == '\0' ? at + 2 : NULL;
}

// libmicrohttpd reads the head in place and only writes NULs into it, so that each text
// begins where the one before it ends. A folded line is moved to another place, a bare
// LF leaves one NUL instead of two, and a NUL that came ends a text before its line
// ends: each is a gap.
bool head_is_plain(const struct head *head)
{
    if (head->method + strlen(head->method) + 1 != head->target ||
        head->target + head->target_length + 1 != head->version)
        return false;
    const char *at = skip_end(head->version + strlen(head->version));
    for (size_t i = 0; i < head->headers_count && at != NULL; i++) {
        if (head->headers[i].name != at)
            return false;
        at += strlen(at) + 1; // the colon
        at += strspn(at, " \t");
        at = head->headers[i].value == at ? skip_end(skip_plain(at)) : NULL;
    }
    at = at != NULL ? skip_end(at) : NULL;
    return at != NULL && at == head->end;
}
