// SPDX-License-Identifier: Apache-2.0
#include "common/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

static void metrics_free_at(struct metrics **metrics)
{
    metrics_free(*metrics);
}

static void assert_has(const struct buf *text, const char *line)
{
    if (strstr(buf_text(text), line) == NULL)
        fail_msg("no %s in\n%s", line, buf_text(text));
}

static int64_t seven(void *context)
{
    (void)context;
    return 7;
}

static void every_metric_has_help_and_type(void **state)
{
    (void)state;
    CLEANUP(metrics_free_at) struct metrics *m = metrics_new();
    CLEANUP(buf_clear) struct buf text = {0};
    metrics_render(m, &text);
    int names = 0;
    for (const char *p = buf_text(&text); (p = strstr(p, "# HELP ")) != NULL; p += 7) {
        assert_memory_equal(p + 7, "strata_", 7);
        names++;
    }
    assert_int_equal(names, METRIC_COUNT + 3);
    assert_has(&text, "# TYPE strata_ready gauge\nstrata_ready 0\n");
    assert_has(&text, "strata_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
}

static void values_are_added_set_and_pulled(void **state)
{
    (void)state;
    CLEANUP(metrics_free_at) struct metrics *m = metrics_new();
    metrics_add(m, METRIC_BLOBS_STORED, 2);
    metrics_add(m, METRIC_BLOBS_STORED, 3);
    metrics_set(m, METRIC_READY, 1);
    metrics_pull(m, METRIC_DB_CONNECTIONS_IN_USE, seven, NULL);
    CLEANUP(buf_clear) struct buf text = {0};
    metrics_render(m, &text);
    assert_has(&text, "\nstrata_blobs_stored_total 5\n");
    assert_has(&text, "\nstrata_ready 1\n");
    assert_has(&text, "\nstrata_db_connections_in_use 7\n");
}

static void requests_are_counted_by_route_and_status(void **state)
{
    (void)state;
    CLEANUP(metrics_free_at) struct metrics *m = metrics_new();
    const char *labels[] = {"/a", "/b\"\\"};
    metrics_set_routes(m, labels, 2);
    metrics_request(m, 0, 200, 900, 10, 20);
    metrics_request(m, 0, 200, 2000000, 1, 2);
    metrics_request(m, 1, 404, 1, 0, 0);
    metrics_request(m, 99, 404, 1, 0, 0);
    CLEANUP(buf_clear) struct buf text = {0};
    metrics_render(m, &text);
    assert_has(&text, "strata_http_requests_total{route=\"/a\",status=\"200\"} 2\n");
    assert_has(&text,
               "strata_http_requests_total{route=\"/b\\\"\\\\\",status=\"404\"} 1\n");
    assert_has(&text, "strata_http_requests_total{route=\"none\",status=\"404\"} 1\n");
    assert_has(&text, "strata_http_received_bytes_total 11\n");
    assert_has(&text, "strata_http_sent_bytes_total 22\n");
#define DURATION "strata_http_request_duration_seconds"
    assert_has(&text, DURATION "_bucket{route=\"/a\",le=\"0.001\"} 1\n");
    assert_has(&text, DURATION "_bucket{route=\"/a\",le=\"1\"} 1\n");
    assert_has(&text, DURATION "_bucket{route=\"/a\",le=\"2.5\"} 2\n");
    assert_has(&text, DURATION "_bucket{route=\"/a\",le=\"+Inf\"} 2\n");
    assert_has(&text, DURATION "_sum{route=\"/a\"} 2.000900\n");
    assert_has(&text, DURATION "_count{route=\"/a\"} 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_has_help_and_type),
        cmocka_unit_test(values_are_added_set_and_pulled),
        cmocka_unit_test(requests_are_counted_by_route_and_status),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
