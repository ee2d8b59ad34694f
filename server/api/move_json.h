// SPDX-License-Identifier: Apache-2.0
// Moves in answers.
#pragma once

#include <jansson.h>

#include "storage/move.h"

json_t *move_json(const struct move *move);
json_t *moves_json(const struct move *moves, size_t count);
