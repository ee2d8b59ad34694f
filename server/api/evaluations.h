// SPDX-License-Identifier: Apache-2.0
// Metrics measured after publishing.
#pragma once

#include "server/api/route.h"

// POST /api/v1/models/{ns}/{name}/versions/{ref}/evaluations
enum err evaluation_create_handler(struct request *request, struct response *response,
                                   struct error *e);
