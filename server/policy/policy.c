// SPDX-License-Identifier: Apache-2.0
#include "server/policy/policy.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "server/policy/pass.h"

#define FUTILE_MS 60000

struct policy *policy_new(const struct policy_options *options)
{
    struct policy *policy = alloc_zero(sizeof *policy);
    policy->options = *options;
    pthread_mutex_init(&policy->lock, NULL);
    for (int tier = 0; tier < TIER_COUNT; tier++)
        policy->relief[tier].place.score = -INFINITY;
    return policy;
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    pthread_mutex_destroy(&policy->lock);
    free(policy);
}

void policy_relief_get(struct policy *policy, enum tier tier,
                       struct relief_place *place)
{
    LOCK_SCOPE(&policy->lock);
    *place = policy->relief[tier].place;
}

void policy_relief_set(struct policy *policy, enum tier tier,
                       const struct relief_place *place, bool is_futile)
{
    LOCK_SCOPE(&policy->lock);
    policy->relief[tier].place = *place;
    policy->relief[tier].futile_until_ms =
        is_futile ? clock_monotonic_ms() + FUTILE_MS : 0;
}

bool policy_relief_is_futile(struct policy *policy, enum tier tier)
{
    LOCK_SCOPE(&policy->lock);
    return clock_monotonic_ms() < policy->relief[tier].futile_until_ms;
}
