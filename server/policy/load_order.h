// SPDX-License-Identifier: Apache-2.0
// The order in which a loader reads the files of a version, so that what is fetched in
// this order is there when it is asked for. Loaders (transformers, vLLM, diffusers)
// read the configuration first, which says what else there is, then the index of the
// shards and the tokenizer, all small; then the weights, shard by shard in order of
// their numbers; safetensors where there is a choice of formats.
#pragma once

#include "server/registry/content.h"

// For qsort over `const struct content_file *`.
int load_order_compare(const void *a, const void *b);
