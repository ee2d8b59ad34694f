// SPDX-License-Identifier: Apache-2.0
// The folder that a version is pulled into. No path leads out of it: every component is
// opened on its own and a symbolic link is an error. Files appear under their final
// names only when they are whole and on disk.
#pragma once

#include "client/lib/fail.h"
#include "common/digest.h"

#define DESTINATION_PARTIAL ".strata-partial"

struct destination {
    int fd;         // of the folder
    int partial_fd; // of DESTINATION_PARTIAL, -1 when only reading
    char *path;     // for messages
};

// With `create`, makes the folder and its parents where they are missing, for writing.
enum strata_status destination_open(struct destination *to, const char *path,
                                    bool create, struct strata_error *e);
// After a pull that got everything: removes what earlier ones left unfinished, unless
// another process works on it.
void destination_tidy(struct destination *to);
// Removes the folder of partial files if it is empty.
void destination_close(struct destination *to);

// Opens a regular file for reading; *fd is -1 when there is none.
enum strata_status destination_open_file(struct destination *to, const char *path,
                                         int *fd, struct strata_error *e);
// Opens (or makes) and locks the partial file of a blob and gives it its size.
// STRATA_CONFLICT when another process works on it.
enum strata_status destination_open_partial(struct destination *to,
                                            const struct digest *sha256, uint64_t size,
                                            int *fd, struct strata_error *e);
// Brings a whole partial file under its final name, durably.
enum strata_status destination_finish(struct destination *to,
                                      const struct digest *sha256, int fd,
                                      const char *path, struct strata_error *e);
