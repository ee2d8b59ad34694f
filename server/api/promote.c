// SPDX-License-Identifier: Apache-2.0
#include "server/api/promote.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/api/move_json.h"
#include "storage/move.h"

#define RETRY_AFTER_UNKNOWN 5 // seconds, where nobody knows
#define RETRY_AFTER_MAXIMUM 60

// RFC 7240, section 2: preferences with values and parameters, separated by commas; a
// quoted value may hold a comma, and then a word of it is not a preference.
static bool prefers(struct request *request, const char *preference)
{
    const char *p = request_header_all(request, "Prefer");
    size_t length = strlen(preference);
    bool is_quoted = false, begins = true;
    for (; p != NULL && *p != '\0'; p++) {
        if (begins && strncasecmp(p, preference, length) == 0 &&
            strchr(" \t,;=", p[length]) != NULL) // the end too
            return true;
        if (*p == '"')
            is_quoted = !is_quoted;
        if (is_quoted && *p == '\\' && p[1] != '\0')
            p++;
        begins = !is_quoted && (*p == ',' || (begins && (*p == ' ' || *p == '\t')));
    }
    return false;
}

bool promote_is_preferred(struct request *request, enum tier tier)
{
    return tier == TIER_COLD && !request->is_head && prefers(request, "respond-async");
}

enum err promote_respond(struct request *request, struct response *response,
                         const struct digest *digest, struct error *e)
{
    const struct move_request wanted = {.digest = *digest,
                                        .to = TIER_HOT,
                                        .cause = MOVE_PREFETCH,
                                        .principal_id = request->who.principal_id};
    struct move move;
    enum err err = move_begin(request->app->storage, &wanted, &move, e);
    if (err != ERR_NONE)
        return err;
    int64_t after_s = move.eta_s < 0 ? RETRY_AFTER_UNKNOWN : move.eta_s + 1;
    char text[24];
    snprintf(text, sizeof text, "%d",
             after_s < RETRY_AFTER_MAXIMUM ? (int)after_s : RETRY_AFTER_MAXIMUM);
    response_header(response, "Retry-After", text);
    if (prefers(request, "respond-async"))
        response_header(response, "Preference-Applied", "respond-async");
    response_json(response, 202, move_json(&move));
    return ERR_NONE;
}
