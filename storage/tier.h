// SPDX-License-Identifier: Apache-2.0
// The names of the tiers, the fastest first.
#pragma once

#include <stdbool.h>

enum tier { TIER_HOT, TIER_WARM, TIER_COLD };
#define TIER_COUNT 3

const char *tier_name(enum tier tier);
bool tier_parse(const char *text, enum tier *tier);
