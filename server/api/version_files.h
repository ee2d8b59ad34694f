// SPDX-License-Identifier: Apache-2.0
// The bytes of a version's files.
#pragma once

#include "server/api/route.h"

// GET /api/v1/models/{ns}/{name}/versions/{ref}/files/{path+}
enum err version_file_handler(struct request *request, struct response *response,
                              struct error *e);
