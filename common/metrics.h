// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms in the Prometheus text format, version 0.0.4. Updates
// are lock-free; any thread. One table, common/metrics.def, and the metrics per route.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"

#define METRICS_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric {
#define X(kind, symbol, name, help) METRIC_##symbol,
#include "common/metrics.def"
#undef X
    METRIC_COUNT
};

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount);
void metrics_set(struct metrics *metrics, enum metric metric, int64_t value);
// The value is asked for when it is rendered; `read` must not block. Before the first
// request only.
void metrics_pull(struct metrics *metrics, enum metric metric,
                  int64_t (*read)(void *context), void *context);

// The value of the label `route` by index; copied. Before the first request only.
void metrics_set_routes(struct metrics *metrics, const char *const *labels,
                        size_t count);
// One answered request; an index past the last route counts as route "none".
void metrics_request(struct metrics *metrics, size_t route, int status,
                     int64_t duration_us, uint64_t bytes_in, uint64_t bytes_out);

void metrics_render(struct metrics *metrics, struct buf *text);
void metrics_print_markdown(FILE *out);
