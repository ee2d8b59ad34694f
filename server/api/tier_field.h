// SPDX-License-Identifier: Apache-2.0
// The member `tier` of bodies.
#pragma once

#include "common/fields.h"
#include "storage/tier.h"

// hot when it is absent (and optional), or wrong, which sticks in `f`.
enum tier fields_tier(struct fields *f, enum fields_need need);
