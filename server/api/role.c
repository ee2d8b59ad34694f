// SPDX-License-Identifier: Apache-2.0
#include "server/api/role.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    [ROLE_NONE] = "none",           [ROLE_READER] = "reader",
    [ROLE_PUBLISHER] = "publisher", [ROLE_MAINTAINER] = "maintainer",
    [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
    return names[role];
}

bool role_parse(const char *text, enum role *role)
{
    for (int i = ROLE_READER; i <= ROLE_ADMIN; i++) {
        if (strcmp(text, names[i]) == 0) {
            *role = (enum role)i;
            return true;
        }
    }
    return false;
}
