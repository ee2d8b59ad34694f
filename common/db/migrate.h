// SPDX-License-Identifier: Apache-2.0
// Numbered migrations, each applied once, in one transaction each, under an advisory
// lock, remembered with the SHA-256 of its text.
#pragma once

#include "common/db/db.h"
#include "common/embedded.h"

// Brings the schema up to the newest of `migrations` (ascending from 1). Refuses with
// ERR_CONFLICT, changing nothing, when the database holds a migration that is not among
// them (it is newer than this program) or one whose text differs. *applied may be NULL.
enum err db_migrate(struct db_pool *pool, const struct embedded_migration *migrations,
                    size_t count, int *applied, struct error *e) MUST_CHECK;
