// SPDX-License-Identifier: Apache-2.0
#include "storage/tier.h"

#include <string.h>

#include "common/cleanup.h"

static const char *const names[] = {
    [TIER_HOT] = "hot", [TIER_WARM] = "warm", [TIER_COLD] = "cold"};

const char *tier_name(enum tier tier)
{
    return names[tier];
}

bool tier_parse(const char *text, enum tier *tier)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *tier = (enum tier)i;
            return true;
        }
    }
    return false;
}
