// SPDX-License-Identifier: Apache-2.0
// The tensors in a version's safetensors files, and their bytes.
#pragma once

#include "server/api/route.h"

// GET /api/v1/models/{ns}/{name}/versions/{ref}/tensors
enum err tensors_list_handler(struct request *request, struct response *response,
                              struct error *e);
// GET /api/v1/models/{ns}/{name}/versions/{ref}/tensors/{tensor+}
enum err tensor_get_handler(struct request *request, struct response *response,
                            struct error *e);
