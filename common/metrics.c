// SPDX-License-Identifier: Apache-2.0
#include "common/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define STATUS_FIRST 100
#define STATUS_COUNT 500

enum kind { KIND_COUNTER, KIND_GAUGE };

struct description {
    enum kind kind;
    const char *name;
    const char *help;
};

static const struct description descriptions[METRIC_COUNT] = {
#define X(kind, symbol, name, help) [METRIC_##symbol] = {KIND_##kind, name, help},
#include "common/metrics.def"
#undef X
};

#define REQUESTS_NAME "strata_http_requests_total"
#define REQUESTS_HELP "Requests answered."
#define DURATION_NAME "strata_http_request_duration_seconds"
#define DURATION_HELP "From the request's headers to the last byte of the answer."
#define BUILD_NAME "strata_build_info"
#define BUILD_HELP "1, with the version as a label."

static const struct {
    int64_t us;
    const char *text;
} buckets[] = {
    {1000, "0.001"},     {2500, "0.0025"},    {5000, "0.005"},   {10000, "0.01"},
    {25000, "0.025"},    {50000, "0.05"},     {100000, "0.1"},   {250000, "0.25"},
    {500000, "0.5"},     {1000000, "1"},      {2500000, "2.5"},  {5000000, "5"},
    {10000000, "10"},    {30000000, "30"},    {60000000, "60"},  {300000000, "300"},
};
#define BUCKETS ARRAY_SIZE(buckets)

struct route_metrics {
    char *label;
    atomic_uint_fast64_t by_status[STATUS_COUNT];
    atomic_uint_fast64_t by_duration[BUCKETS + 1]; // the last: longer than all
    atomic_uint_fast64_t duration_us;
};

struct puller {
    int64_t (*read)(void *context);
    void *context;
};

struct metrics {
    atomic_int_fast64_t values[METRIC_COUNT];
    struct puller pullers[METRIC_COUNT];
    struct route_metrics *routes; // routes_count, and one for "none"
    size_t routes_count;
};

// ---- the process itself -------------------------------------------------------------

static int64_t read_anonymous_bytes(void *context)
{
    (void)context;
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL)
        return 0;
    char line[256];
    int64_t kib = 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "RssAnon: %" SCNd64 " kB", &kib) == 1)
            break;
    }
    fclose(status);
    return kib * 1024;
}

static int64_t read_open_fds(void *context)
{
    (void)context;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    int64_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 3; // `.`, `..` and the directory's own
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = alloc_zero(sizeof *metrics);
    metrics_set_routes(metrics, NULL, 0);
    metrics_pull(metrics, METRIC_PROCESS_ANONYMOUS_BYTES, read_anonymous_bytes, NULL);
    metrics_pull(metrics, METRIC_PROCESS_OPEN_FDS, read_open_fds, NULL);
    metrics_set(metrics, METRIC_PROCESS_START_TIME, clock_wall_us() / 1000000);
    return metrics;
}

static void free_routes(struct metrics *metrics)
{
    if (metrics->routes == NULL)
        return;
    for (size_t i = 0; i <= metrics->routes_count; i++)
        free(metrics->routes[i].label);
    free(metrics->routes);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    free_routes(metrics);
    free(metrics);
}

// ---- updates --------------------------------------------------------------------

void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount)
{
    atomic_fetch_add_explicit(&metrics->values[metric], amount, memory_order_relaxed);
}

void metrics_set(struct metrics *metrics, enum metric metric, int64_t value)
{
    atomic_store_explicit(&metrics->values[metric], value, memory_order_relaxed);
}

void metrics_pull(struct metrics *metrics, enum metric metric,
                  int64_t (*read)(void *context), void *context)
{
    metrics->pullers[metric] = (struct puller){read, context};
}

void metrics_set_routes(struct metrics *metrics, const char *const *labels,
                        size_t count)
{
    free_routes(metrics);
    metrics->routes = alloc_array(count + 1, sizeof *metrics->routes);
    metrics->routes_count = count;
    for (size_t i = 0; i < count; i++)
        metrics->routes[i].label = alloc_copy(labels[i]);
    metrics->routes[count].label = alloc_copy("none");
}

static void count_one(atomic_uint_fast64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

void metrics_request(struct metrics *metrics, size_t route, int status,
                     int64_t duration_us, uint64_t bytes_in, uint64_t bytes_out)
{
    if (route > metrics->routes_count)
        route = metrics->routes_count;
    struct route_metrics *r = &metrics->routes[route];
    if (status >= STATUS_FIRST && status < STATUS_FIRST + STATUS_COUNT)
        count_one(&r->by_status[status - STATUS_FIRST], 1);
    size_t bucket = 0;
    while (bucket < BUCKETS && duration_us > buckets[bucket].us)
        bucket++;
    count_one(&r->by_duration[bucket], 1);
    count_one(&r->duration_us, (uint64_t)(duration_us > 0 ? duration_us : 0));
    metrics_add(metrics, METRIC_HTTP_RECEIVED_BYTES, (int64_t)bytes_in);
    metrics_add(metrics, METRIC_HTTP_SENT_BYTES, (int64_t)bytes_out);
}

// ---- rendering ------------------------------------------------------------------

static void put_head(struct buf *text, const char *name, const char *help,
                     const char *type)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(struct buf *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buf_puts(text, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            buf_putc(text, '\\');
        buf_putc(text, *value);
    }
}

static uint64_t value_of(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void put_requests(struct buf *text, struct route_metrics *route)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        uint64_t count = value_of(&route->by_status[i]);
        if (count == 0)
            continue;
        buf_puts(text, REQUESTS_NAME "{route=\"");
        put_label(text, route->label);
        buf_printf(text, "\",status=\"%d\"} %" PRIu64 "\n", i + STATUS_FIRST, count);
    }
}

// Buckets are cumulative in the text. A route that was never asked is left out.
static void put_durations(struct buf *text, struct route_metrics *route)
{
    uint64_t counts[BUCKETS + 1];
    uint64_t total = 0;
    for (size_t i = 0; i <= BUCKETS; i++)
        total += counts[i] = value_of(&route->by_duration[i]);
    if (total == 0)
        return;
    CLEANUP(buf_clear) struct buf label = {0};
    put_label(&label, route->label);
    uint64_t sum = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        sum += counts[i];
        buf_printf(text, DURATION_NAME "_bucket{route=\"%s\",le=\"%s\"} %" PRIu64 "\n",
                   buf_text(&label), i < BUCKETS ? buckets[i].text : "+Inf", sum);
    }
    buf_printf(text, DURATION_NAME "_sum{route=\"%s\"} %.6f\n", buf_text(&label),
               (double)value_of(&route->duration_us) / 1e6);
    buf_printf(text, DURATION_NAME "_count{route=\"%s\"} %" PRIu64 "\n",
               buf_text(&label), total);
}

void metrics_render(struct metrics *metrics, struct buf *text)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct description *d = &descriptions[i];
        const struct puller *puller = &metrics->pullers[i];
        int64_t value =
            puller->read != NULL
                ? puller->read(puller->context)
                : atomic_load_explicit(&metrics->values[i], memory_order_relaxed);
        put_head(text, d->name, d->help, d->kind == KIND_COUNTER ? "counter" : "gauge");
        buf_printf(text, "%s %" PRId64 "\n", d->name, value);
    }
    put_head(text, BUILD_NAME, BUILD_HELP, "gauge");
    buf_puts(text, BUILD_NAME "{version=\"" PACKAGE_VERSION "\"} 1\n");
    put_head(text, REQUESTS_NAME, REQUESTS_HELP, "counter");
    for (size_t i = 0; i <= metrics->routes_count; i++)
        put_requests(text, &metrics->routes[i]);
    put_head(text, DURATION_NAME, DURATION_HELP, "histogram");
    for (size_t i = 0; i <= metrics->routes_count; i++)
        put_durations(text, &metrics->routes[i]);
}

void metrics_print_markdown(FILE *out)
{
    static const char row[] = "| `%s` | %s | %s | %s |\n";
    fputs("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n", out);
    fprintf(out, row, REQUESTS_NAME, "counter", "route, status", REQUESTS_HELP);
    fprintf(out, row, DURATION_NAME, "histogram", "route", DURATION_HELP);
    fprintf(out, row, BUILD_NAME, "gauge", "version", BUILD_HELP);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct description *d = &descriptions[i];
        fprintf(out, row, d->name, d->kind == KIND_COUNTER ? "counter" : "gauge", "",
                d->help);
    }
}
