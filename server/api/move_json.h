// SPDX-License-Identifier: Apache-2.0
// A move as the interface shows it.
#pragma once

#include <jansson.h>

#include "storage/move.h"

// {"id","sha256","from","to","state","bytes_done","size","eta_seconds","error"}; the
// caller owns it. eta_seconds and error are null where there is none.
json_t *move_json(const struct move *move);
