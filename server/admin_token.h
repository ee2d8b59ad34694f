// SPDX-License-Identifier: Apache-2.0
// The first administrator's token in DATA/admin.token (mode 0600). The file is written
// as admin.token.new first, then the row is committed, then the file is renamed: after
// a crash between any two steps the next start finishes or forgets what was begun.
#pragma once

#include <stdbool.h>

#include "common/db/db.h"

// Makes sure that such a token was given out. `reset`: makes a new one and revokes
// those before it. *path_written (to be freed) names the file when one was written.
enum err admin_token_ensure(struct db_pool *pool, const char *data_dir, bool reset,
                            char **path_written, struct error *e) MUST_CHECK;
