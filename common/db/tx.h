// SPDX-License-Identifier: Apache-2.0
// Transactions: the one place that begins, commits and retries them.
#pragma once

#include "common/db/db.h"

// The work of a transaction. It may run several times (serialization failure, deadlock,
// a connection that had died before the first statement), so it must reset what it
// gathers at its start, and have no effect outside the database. Anything but ERR_NONE
// rolls back.
typedef enum err (*db_tx_fn)(struct db *db, void *context, struct error *e);

// Runs `work` in a READ COMMITTED transaction. Errors are those of `work`, of db_query,
// and ERR_OUTCOME_UNKNOWN when the answer to COMMIT was lost.
enum err db_tx_run(struct db_pool *pool, db_tx_fn work, void *context,
                   struct error *e) MUST_CHECK;
