// SPDX-License-Identifier: Apache-2.0
#include "client/lib/strata.h"

const char *strata_version(void)
{
    return PACKAGE_VERSION;
}
