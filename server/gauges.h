// SPDX-License-Identifier: Apache-2.0
// The metrics that are asked for when /metrics is rendered.
#pragma once

#include "server/api/app.h"

// Before the first request; what `app` points to may come later and must outlive them.
void gauges_add(struct app *app);
