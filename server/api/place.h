// SPDX-License-Identifier: Apache-2.0
// What the paths of models name, checked: the model of /models/{ns}/{name}, and the
// version or alias behind it. ERR_INVALID_NAME names the part that is wrong. And what
// other paths name: ERR_INVALID_FIELD.
#pragma once

#include "server/api/request.h"
#include "server/registry/registry.h"

enum err place_model(const struct request *request, char model[MODEL_SIZE],
                     struct error *e) MUST_CHECK;
enum err place_version(const struct request *request, char model[MODEL_SIZE],
                       struct ref *selector, struct error *e) MUST_CHECK;
enum err place_alias(const struct request *request, char model[MODEL_SIZE],
                     const char **alias, struct error *e) MUST_CHECK;

// The {sha256} that a path begins with.
enum err place_digest(const struct request *request, struct digest *digest,
                      struct error *e) MUST_CHECK;
// The {id} that a path ends with, a number from 1.
enum err place_id(const struct request *request, int64_t *id,
                  struct error *e) MUST_CHECK;

// Who makes the request's change.
struct actor place_actor(const struct request *request);

// A page token that is a number from 1; `first` without a token. ERR_BAD_QUERY.
enum err place_page_number(const struct page *page, int64_t first, int64_t *number,
                           struct error *e) MUST_CHECK;
