// SPDX-License-Identifier: Apache-2.0
#include "storage/tier.h"

#include <string.h>

#include "common/cleanup.h"
#include "storage/tier_store.h"

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

void tier_writer_free_at(struct tier_writer **writer)
{
    if (*writer != NULL)
        (*writer)->ops->free(*writer);
}

void tier_reader_free_at(struct tier_reader **reader)
{
    if (*reader != NULL)
        (*reader)->ops->free(*reader);
}
