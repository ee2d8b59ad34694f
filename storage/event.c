// SPDX-License-Identifier: Apache-2.0
#include "storage/event.h"

#include "common/cleanup.h"
#include "common/json_text.h"

enum err storage_event_put(struct db *db, const char *kind, const char *subject,
                           json_t *payload, struct error *e)
{
    static const char sql[] = "INSERT INTO events (at, kind, subject, payload)"
                              " VALUES (clock_timestamp(), $1, $2, $3::jsonb)";
    AUTO_JSON json_t *owned = payload != NULL ? payload : json_object();
    size_t size = 0;
    AUTO_FREE char *text = json_text_dump(owned, &size);
    return db_exec(db, sql, DB_PARAMS(DB_TEXT(kind), DB_TEXT(subject), DB_TEXT(text)),
                   NULL, e);
}
