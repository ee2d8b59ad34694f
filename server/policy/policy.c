// SPDX-License-Identifier: Apache-2.0
#include "server/policy/policy.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "server/policy/pass.h"

struct policy *policy_new(const struct policy_options *options)
{
    struct policy *policy = alloc_zero(sizeof *policy);
    policy->options = *options;
    return policy;
}

void policy_free(struct policy *policy)
{
    free(policy);
}
