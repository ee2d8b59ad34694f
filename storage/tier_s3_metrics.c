// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_s3.h"

static struct s3_counters count(void *store)
{
    struct s3_counters counters;
    s3_client_count(tier_s3_client(store), &counters);
    return counters;
}

static int64_t read_requests(void *store)
{
    return count(store).requests;
}

static int64_t read_retries(void *store)
{
    return count(store).retries;
}

static int64_t read_failed_network(void *store)
{
    return count(store).failed_network;
}

static int64_t read_failed_server(void *store)
{
    return count(store).failed_server;
}

static int64_t read_failed_throttled(void *store)
{
    return count(store).failed_throttled;
}

static int64_t read_failed_refused(void *store)
{
    return count(store).failed_refused;
}

static int64_t read_received(void *store)
{
    return count(store).received_bytes;
}

static int64_t read_sent(void *store)
{
    return count(store).sent_bytes;
}

static int64_t read_breaker(void *store)
{
    return s3_client_breaker(tier_s3_client(store));
}

void tier_s3_add_metrics(struct tier_store *store, struct metrics *metrics)
{
    metrics_pull(metrics, METRIC_S3_REQUESTS, read_requests, store);
    metrics_pull(metrics, METRIC_S3_RETRIES, read_retries, store);
    metrics_pull(metrics, METRIC_S3_FAILED_NETWORK, read_failed_network, store);
    metrics_pull(metrics, METRIC_S3_FAILED_SERVER, read_failed_server, store);
    metrics_pull(metrics, METRIC_S3_FAILED_THROTTLED, read_failed_throttled, store);
    metrics_pull(metrics, METRIC_S3_FAILED_REFUSED, read_failed_refused, store);
    metrics_pull(metrics, METRIC_S3_RECEIVED_BYTES, read_received, store);
    metrics_pull(metrics, METRIC_S3_SENT_BYTES, read_sent, store);
    metrics_pull(metrics, METRIC_S3_BREAKER, read_breaker, store);
}
