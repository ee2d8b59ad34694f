// SPDX-License-Identifier: Apache-2.0
// What a token allows: each role includes the ones before it.
#pragma once

#include <stdbool.h>

enum role { ROLE_NONE, ROLE_READER, ROLE_PUBLISHER, ROLE_MAINTAINER, ROLE_ADMIN };

const char *role_name(enum role role); // "none" for ROLE_NONE
bool role_parse(const char *text, enum role *role); // never ROLE_NONE
