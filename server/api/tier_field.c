// SPDX-License-Identifier: Apache-2.0
#include "server/api/tier_field.h"

#define TIER_MAXIMUM 16

enum tier fields_tier(struct fields *f, enum fields_need need)
{
    enum tier tier = TIER_HOT;
    const char *text = fields_text(f, "tier", need, TIER_MAXIMUM);
    if (text != NULL && !tier_parse(text, &tier))
        fields_fail(f, ERR_INVALID_FIELD, "tier", "this must be hot, warm or cold");
    return tier;
}
