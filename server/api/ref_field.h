// SPDX-License-Identifier: Apache-2.0
// The member `ref` of bodies: `ns/name`, `ns/name@7`, `ns/name@prod`,
// `ns/name@sha256:<hex>`.
#pragma once

#include "common/fields.h"
#include "common/names.h"

// Whether it is there; what is wrong with it sticks in `f`.
bool fields_ref(struct fields *f, enum fields_need need, struct ref *ref);
