// SPDX-License-Identifier: Apache-2.0
#include "server/policy/policy.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/tx.h"
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

static enum err score_anew(struct db *db, void *context, struct error *e)
{
    static const char set[] = "UPDATE policy_settings SET half_life = $1"
                              " WHERE abs(half_life - $1) > 0.001";
    static const char score[] =
        "UPDATE placements SET heat_score = policy_heat_score(sha256)";
    const struct policy *policy = context;
    int64_t changed = 0;
    double seconds = (double)policy->options.decide.heat.half_life_us / 1e6;
    enum err err = db_exec(db, set, DB_PARAMS(DB_DOUBLE(seconds)), &changed, e);
    if (err != ERR_NONE || changed == 0)
        return err;
    return db_exec(db, score, DB_NO_PARAMS, NULL, e);
}

enum err policy_start(struct policy *policy, struct error *e)
{
    return db_tx_run(policy->options.db, score_anew, policy, e);
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
                       const struct relief_place *place, uint64_t futile)
{
    LOCK_SCOPE(&policy->lock);
    policy->relief[tier].place = *place;
    policy->relief[tier].futile = futile;
    policy->relief[tier].futile_until_ms =
        futile > 0 ? clock_monotonic_ms() + FUTILE_MS : 0;
}

bool policy_relief_is_futile(struct policy *policy, enum tier tier, uint64_t fill)
{
    LOCK_SCOPE(&policy->lock);
    return fill <= policy->relief[tier].futile &&
           clock_monotonic_ms() < policy->relief[tier].futile_until_ms;
}
