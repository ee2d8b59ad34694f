// SPDX-License-Identifier: Apache-2.0
// The data directory: made when it is missing, held by one stratad at a time.
#pragma once

#include "common/error.h"

// Makes DIR (its parent must exist) and takes the lock DIR/lock, which lasts until
// *lock is closed. *path is DIR's absolute path, to be freed. ERR_CONFLICT when another
// stratad holds it.
enum err folder_take(const char *dir, char **path, int *lock,
                     struct error *e) MUST_CHECK;

// Replaces a small file by rename, so that a reader sees all of it or none.
enum err folder_write_file(const char *path, const char *text,
                           struct error *e) MUST_CHECK;
