// SPDX-License-Identifier: Apache-2.0
// Reads what publishing and evaluating share: one line of text, tags, params, metrics,
// datasets. All add to the sticking error of `fields`.
#pragma once

#include "common/fields.h"
#include "server/registry/origin.h"

#define DESCRIPTION_MAXIMUM 65536
#define URI_MAXIMUM 2048
#define WORD_MAXIMUM 255

// One line of text that is not empty; NULL when absent.
const char *fields_line(struct fields *f, const char *key, enum fields_need need,
                        size_t maximum);

// Each returns the object, borrowed, or NULL when absent or wrong.
enum tags_null { TAGS_STRINGS, TAGS_ALLOW_NULL };
const json_t *fields_tags(struct fields *f, const char *key, enum tags_null null);
const json_t *fields_params(struct fields *f, const char *key);
// A new object, the caller's, in which every number is a real.
json_t *fields_metrics(struct fields *f, const char *key, enum fields_need need);

// `prefix` as for fields_begin.
enum err dataset_parse(const json_t *json, const char *prefix,
                       struct origin_dataset *dataset, struct error *e) MUST_CHECK;
