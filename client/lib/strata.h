// SPDX-License-Identifier: Apache-2.0
// Public interface of libstrata, the client library of the Strata model registry.
#pragma once

// The library's version, as "0.1.0"; never freed.
const char *strata_version(void);
