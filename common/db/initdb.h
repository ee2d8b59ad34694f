// SPDX-License-Identifier: Apache-2.0
// Makes the data directory of the private PostgreSQL. Private to common/db.
#pragma once

#include <stdbool.h>

#include "common/db/installation.h"
#include "common/db/process.h"

#define INITDB_USER "strata"

// Makes `dir`, which must be missing or empty, all or nothing: a crash leaves
// `dir`.new, which the next call removes.
enum err initdb_make(const char *dir, const struct installation *installation,
                     const struct account *account, bool sync,
                     struct error *e) MUST_CHECK;

// Makes the folder with mode 0700 for that user unless it is there.
enum err initdb_make_folder(const char *path, const struct account *account,
                            struct error *e) MUST_CHECK;

// ERR_INTERNAL with the command to run when the user cannot reach `dir`.
enum err initdb_check_reach(const char *dir, const struct account *account,
                            struct error *e) MUST_CHECK;
