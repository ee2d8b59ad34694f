// SPDX-License-Identifier: Apache-2.0
// Publishing a version (server/registry/publish.h does the work).
#pragma once

#include "server/api/route.h"

// POST /api/v1/models/{ns}/{name}/versions (a JSON body of at most 32 MiB)
enum err version_publish_handler(struct request *request, struct response *response,
                                 struct error *e);
