// SPDX-License-Identifier: Apache-2.0
// Which PostgreSQL this machine has. Private to common/db.
#pragma once

#include "common/error.h"

#define INSTALLATION_OLDEST 15

struct installation {
    char *bin; // the folder that holds `postgres` and `initdb`
    int major;
};

// The newest from INSTALLATION_OLDEST on, or exactly `major` when it is not 0.
// ERR_INTERNAL with the command to run when there is none.
enum err installation_find(int major, struct installation *installation,
                           struct error *e) MUST_CHECK;
void installation_clear(struct installation *installation);
