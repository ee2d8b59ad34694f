// SPDX-License-Identifier: Apache-2.0
#include "server/registry/event.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_text.h"

enum err event_put(struct db *db, const struct actor *actor, const char *kind,
                   const char *subject, json_t *payload, struct error *e)
{
    AUTO_JSON json_t *owned = payload != NULL ? payload : json_object();
    size_t size = 0;
    AUTO_FREE char *text = json_text_dump(owned, &size);
    return db_exec(db,
                   "INSERT INTO events (at, kind, subject, payload, principal_id,"
                   " token_id, request_id)"
                   " VALUES (clock_timestamp(), $1, $2, $3::jsonb, $4, $5, $6)",
                   DB_PARAMS(DB_TEXT(kind), DB_TEXT(subject), DB_TEXT(text),
                             DB_INT(actor->principal_id), DB_TEXT(actor->token_id),
                             DB_TEXT(actor->request_id)),
                   NULL, e);
}

enum err event_put_version(struct db *db, const struct actor *actor, const char *kind,
                           const char *model, int64_t number, json_t *payload,
                           struct error *e)
{
    char subject[MODEL_SIZE + 24];
    snprintf(subject, sizeof subject, "%s@%" PRId64, model, number);
    return event_put(db, actor, kind, subject, payload, e);
}
