// SPDX-License-Identifier: Apache-2.0
#include "server/service.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/cluster.h"
#include "common/db/migrate.h"
#include "common/embedded.h"
#include "common/log.h"
#include "server/admin_token.h"
#include "server/api/auth.h"
#include "server/api/health.h"
#include "server/api/route.h"
#include "server/background.h"
#include "server/folder.h"
#include "server/gauges.h"
#include "server/http/server.h"
#include "server/policy/evaluate.h"
#include "server/policy/policy.h"
#include "server/registry/collector.h"
#include "server/registry/registry.h"
#include "server/registry/tensor_index.h"
#include "storage/cold_cache.h"
#include "storage/read_log.h"
#include "storage/scrub.h"
#include "storage/storage.h"
#include "storage/throttle.h"
#include "storage/tier_s3.h"

#define NODE 1 // the row `local` of nodes; several nodes come later
#define OLDEST_POSTGRESQL 150000
#define DATABASE_WAIT_MS 30000
#define MIGRATION_TIMEOUT_MS (24 * 3600 * 1000)
#define WATCH_MS 1000
#define SWEEP_MS 60000
#define READS_MAXIMUM 100000 // blobs that are read between two passes of the policy

struct service {
    const struct config *config;
    bool (*cancelled)(void);
    char *data_dir; // absolute
    int lock;
    struct cluster *cluster; // NULL with database_url
    struct app app;
    struct health health;
    struct http_server *http;
    struct background *database;
    struct background *refresh;
    struct background *sweep;
    struct background *tend;
    struct background *gc;
    struct background *scrubbing;
    struct background *policy;
    atomic_bool stopping;
    struct background *slow;
};

// ---- PostgreSQL -------------------------------------------------------------------

static enum err start_cluster(struct service *s, struct error *e)
{
    if (s->config->database_url[0] != '\0')
        return ERR_NONE;
    struct cluster_options options = {
        .data_dir = s->data_dir,
        .connections = (int)s->config->database_connections,
        .fsync = s->config->database_fsync,
        .cancelled = s->cancelled,
    };
    return cluster_start(&options, &s->cluster, e);
}

static enum err check_version(struct db *db, struct error *e)
{
    static const char sql[] = "SELECT current_setting('server_version_num')::bigint";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err == ERR_NONE && db_int(rows, 0, 0) < OLDEST_POSTGRESQL)
        return error_set(e, ERR_CONFLICT,
                         "PostgreSQL %lld is too old: Strata needs 15 or newer",
                         (long long)db_int(rows, 0, 0) / 10000);
    return err;
}

// For the log alone: the operator may know hosts and users.
static enum err explain(struct service *s, enum err err, struct error *e)
{
    char failure[DB_FAILURE_SIZE];
    db_pool_failure(s->app.db, failure);
    if (err != ERR_UNAVAILABLE || failure[0] == '\0')
        return err;
    return error_set(e, err, "PostgreSQL: %s", failure);
}

static enum err try_database(struct service *s, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->app.db, &db, e);
    return err != ERR_NONE ? err : check_version(db, e);
}

// A PostgreSQL that starts together with stratad may be a little later.
static enum err wait_database(struct service *s, struct error *e)
{
    int64_t until_ms = clock_monotonic_ms() + DATABASE_WAIT_MS;
    bool told = false;
    for (;;) {
        enum err err = explain(s, try_database(s, e), e);
        if (err != ERR_UNAVAILABLE || clock_monotonic_ms() > until_ms || s->cancelled())
            return err;
        if (!told)
            log_warn("waiting for PostgreSQL", "reason", e->detail, NULL);
        told = true;
        error_clear(e);
        struct timespec pause = {.tv_nsec = 200000000};
        nanosleep(&pause, NULL);
    }
}

// On a large database a migration may take long, and so may waiting for the one that
// another stratad runs: no time limit of requests holds here.
static enum err migrate(struct db_options options, struct error *e)
{
    options.statement_timeout_ms = MIGRATION_TIMEOUT_MS;
    struct db_pool *pool = db_pool_new(&options);
    int applied = 0;
    enum err err =
        db_migrate(pool, embedded_migrations, embedded_migrations_count, &applied, e);
    db_pool_free(pool);
    if (err == ERR_NONE && applied > 0)
        log_info("migrated the database", "migrations", log_number(applied), NULL);
    return err;
}

static enum err start_database(struct service *s, struct error *e)
{
    enum err err = start_cluster(s, e);
    if (err != ERR_NONE)
        return err;
    struct db_options options = {
        .url = s->cluster != NULL ? cluster_url(s->cluster) : s->config->database_url,
        .connections = (unsigned)s->config->database_connections,
        .acquire_timeout_ms = (int)s->config->acquire_timeout_ms,
        .statement_timeout_ms = (int)s->config->database_timeout_ms,
    };
    s->app.db = db_pool_new(&options);
    err = wait_database(s, e);
    return err != ERR_NONE ? err : migrate(options, e);
}

// ---- what stands on it ------------------------------------------------------------

static const char *given(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static enum err start_storage(struct service *s, struct error *e)
{
    const struct config *c = s->config;
    struct tier_s3_options bucket = {
        .client = {.endpoint = c->s3_endpoint,
                   .bucket = c->s3_bucket,
                   .region = c->s3_region,
                   .is_virtual = strcmp(c->s3_style, "virtual") == 0,
                   .credentials = given(c->s3_credentials),
                   .ca_file = given(c->s3_ca_file),
                   .connections = (unsigned)c->s3_connections,
                   .timeout_ms = c->s3_timeout_ms,
                   .cancel = &s->stopping},
        .prefix = c->s3_prefix,
    };
    const struct storage_options options = {
        .data_dir = s->data_dir,
        .bucket = c->s3_endpoint[0] != '\0' ? &bucket : NULL,
        .tiers = {[TIER_HOT] = {given(c->hot_dir), c->hot_capacity,
                                (unsigned)c->hot_high_mark, (unsigned)c->hot_low_mark},
                  [TIER_WARM] = {given(c->warm_dir), c->warm_capacity,
                                 (unsigned)c->warm_high_mark,
                                 (unsigned)c->warm_low_mark},
                  [TIER_COLD] = {given(c->cold_dir), c->cold_capacity, 100, 100}},
        .movers = (unsigned)c->movers,
        .move_bandwidth = c->move_bandwidth,
        .move_hold_s = c->move_hold_ms / 1000,
        .protect_after_s = c->protect_after_ms / 1000,
        .cold_delete_after_s = c->cold_delete_after_ms / 1000,
        .node = NODE,
        .max_blob_size = s->config->max_blob_size,
        .upload_expiry_s = s->config->upload_expiry_ms / 1000,
        .lease_s = s->config->lease_ms / 1000,
        .descriptor_cache = (unsigned)s->config->descriptor_cache,
        .cold_cache = s->config->cold_cache,
    };
    enum err err = storage_open(&options, s->app.db, &s->app.storage, e);
    if (err == ERR_NONE)
        storage_add_metrics(s->app.storage, s->app.metrics);
    return err != ERR_NONE ? err : storage_repair(s->app.storage, e);
}

static enum err start_access(struct service *s, struct error *e)
{
    const struct registry_options options = {
        .db = s->app.db,
        .purge_after_s = s->config->purge_after_ms / 1000,
        .cache_bytes = s->config->version_cache,
    };
    s->app.registry = registry_new(&options);
    const struct policy_options policy = {
        .db = s->app.db,
        .registry = s->app.registry,
        .storage = s->app.storage,
        .reads = s->app.reads,
        .node = NODE,
        .decide = decide_options_of(s->config),
    };
    s->app.policy = policy_new(&policy);
    s->app.scrub =
        scrub_new(s->app.storage, &(struct scrub_options){
                                      .interval_s = s->config->scrub_interval_ms / 1000,
                                      .bandwidth = s->config->scrub_bandwidth,
                                  });
    s->app.collector = collector_new(&(struct collector_options){
        .registry = s->app.registry,
        .storage = s->app.storage,
        .interval_ms = s->config->gc_interval_ms,
        .orphan_interval_ms = s->config->orphan_interval_ms,
        .orphan_age_s = s->config->orphan_age_ms / 1000,
    });
    s->app.tensors = tensor_indexes_new(s->app.storage, s->config->tensor_cache);
    s->app.auth = auth_new(s->app.db, s->app.metrics);
    AUTO_FREE char *written = NULL;
    enum err err = policy_start(s->app.policy, e);
    if (err == ERR_NONE)
        err = admin_token_ensure(s->app.db, s->data_dir, s->config->reset_admin_token,
                                 &written, e);
    if (err == ERR_NONE && written != NULL)
        log_info("wrote an administrator's token", "file", written, NULL);
    return err;
}

// ---- metrics ----------------------------------------------------------------------

static int64_t read_active(void *service)
{
    return service_active(service);
}

static void start_metrics(struct service *s)
{
    s->app.metrics = metrics_new();
    s->app.reads = read_log_new(READS_MAXIMUM);
    AUTO_FREE const char **labels = alloc_array(routes_count, sizeof *labels);
    for (size_t i = 0; i < routes_count; i++)
        labels[i] = routes[i].pattern;
    metrics_set_routes(s->app.metrics, labels, routes_count);
    metrics_set(s->app.metrics, METRIC_DB_CONNECTIONS_MAXIMUM,
                s->config->database_connections);
    metrics_pull(s->app.metrics, METRIC_HTTP_REQUESTS_ACTIVE, read_active, s);
    gauges_add(&s->app);
}

// ---- threads ------------------------------------------------------------------------

static enum err run_database(void *context, struct error *e)
{
    struct service *s = context;
    bool restarted = false;
    enum err err = cluster_check(s->cluster, &restarted, e);
    if (restarted) {
        log_warn("the private PostgreSQL had died and was started again", NULL);
        metrics_add(s->app.metrics, METRIC_DATABASE_RESTARTS, 1);
    }
    return err;
}

static enum err run_refresh(void *context, struct error *e)
{
    struct service *s = context;
    return explain(s, auth_refresh(s->app.auth, e), e);
}

static enum err run_sweep(void *context, struct error *e)
{
    struct service *s = context;
    enum err err = storage_sweep(s->app.storage, e);
    if (err != ERR_NONE)
        metrics_add(s->app.metrics, METRIC_SWEEPS_FAILED, 1);
    return err;
}

static enum err run_scrub(void *context, struct error *e)
{
    return scrub_run(((struct service *)context)->app.scrub, e);
}

static enum err run_collector(void *context, struct error *e)
{
    return collector_tick(((struct service *)context)->app.collector, e);
}

static enum err run_tend(void *context, struct error *e)
{
    return storage_tend(((struct service *)context)->app.storage, e);
}

// As much as is due, a little at a time, so that the server can end in between.
static enum err run_policy(void *context, struct error *e)
{
    struct service *s = context;
    static const struct policy_budget budget = {10000, 10000, 1000};
    struct policy_result result = {.more = false};
    enum err err = policy_flush_heat(s->app.policy, NULL, e);
    do
        err = err == ERR_NONE ? policy_pass(s->app.policy, &budget, &result, e) : err;
    while (err == ERR_NONE && result.more && !atomic_load(&s->stopping));
    return err;
}

static enum err run_slow(void *context, struct error *e)
{
    (void)e;
    http_server_cut_slow(((struct service *)context)->http);
    return ERR_NONE;
}

static int64_t sweep_pause_ms(const struct config *config)
{
    int64_t pause_ms = config->upload_expiry_ms / 10;
    return pause_ms < 1000 ? 1000 : pause_ms > SWEEP_MS ? SWEEP_MS : pause_ms;
}

static enum err start_threads(struct service *s, struct error *e)
{
    const struct background_options database = {"database", WATCH_MS, run_database, s};
    const struct background_options refresh = {"tokens", WATCH_MS, run_refresh, s};
    const struct background_options sweep = {"uploads", sweep_pause_ms(s->config),
                                             run_sweep, s};
    const struct background_options tend = {"copies", WATCH_MS, run_tend, s};
    const struct background_options scrub = {"scrub", WATCH_MS, run_scrub, s};
    const struct background_options gc = {"gc", WATCH_MS, run_collector, s};
    const struct background_options policy = {"policy", s->config->policy_interval_ms,
                                              run_policy, s};
    enum err err = storage_start(s->app.storage, e);
    if (err == ERR_NONE && s->cluster != NULL)
        err = background_start(&database, &s->database, e);
    if (err == ERR_NONE)
        err = background_start(&refresh, &s->refresh, e);
    if (err == ERR_NONE)
        err = background_start(&sweep, &s->sweep, e);
    if (err == ERR_NONE)
        err = background_start(&tend, &s->tend, e);
    if (err == ERR_NONE)
        err = background_start(&policy, &s->policy, e);
    if (err == ERR_NONE)
        err = background_start(&gc, &s->gc, e);
    if (err == ERR_NONE)
        err = background_start(&scrub, &s->scrubbing, e);
    return err;
}

static unsigned read_transfers(void *http)
{
    return http_server_transfers(http);
}

static void step_aside(void *http)
{
    http_server_step_aside(http);
}

static enum err start_http(struct service *s, struct error *e)
{
    enum err err = http_server_start(&s->app, &s->http, e);
    if (err != ERR_NONE)
        return err;
    const char *address = http_server_address(s->http);
    log_info("listening", "address", address, NULL);
    const struct throttle_users users = {read_transfers, step_aside, s->http};
    storage_watch_users(s->app.storage, &users);
    scrub_watch(s->app.scrub, &users);
    const struct background_options slow = {"connections", WATCH_MS, run_slow, s};
    err = background_start(&slow, &s->slow, e);
    if (err != ERR_NONE)
        return err;
    if (s->config->port_file[0] == '\0')
        return ERR_NONE;
    AUTO_FREE char *line = alloc_printf("%s\n", address);
    return folder_write_file(s->config->port_file, line, e);
}

// ---- start and stop ------------------------------------------------------------

enum err service_start(const struct config *config, bool (*cancelled)(void),
                       struct service **service, struct error *e)
{
    struct service *s = *service = alloc_zero(sizeof *s);
    s->config = s->app.config = config;
    s->app.health = &s->health;
    s->cancelled = cancelled;
    s->lock = -1;
    start_metrics(s);
    enum err err = folder_take(config->data, &s->data_dir, &s->lock, e);
    if (err != ERR_NONE)
        return err;
    log_info("starting", "version", PACKAGE_VERSION, "data", s->data_dir, NULL);
    err = start_database(s, e);
    if (err == ERR_NONE)
        err = start_storage(s, e);
    if (err == ERR_NONE)
        err = start_access(s, e);
    if (err == ERR_NONE)
        err = start_threads(s, e);
    if (err == ERR_NONE)
        err = start_http(s, e);
    if (err == ERR_NONE)
        atomic_store(&s->health.state, HEALTH_READY);
    return err;
}

void service_quiesce(struct service *service)
{
    atomic_store(&service->health.state, HEALTH_DRAINING);
    http_server_quiesce(service->http);
}

unsigned service_active(const struct service *service)
{
    return service->http != NULL ? http_server_active(service->http) : 0;
}

unsigned service_pending(const struct service *service)
{
    return service->http != NULL ? http_server_pending(service->http) : 0;
}

static void stop_cluster(struct service *s)
{
    if (s->cluster == NULL)
        return;
    struct error e = {0};
    if (cluster_stop(s->cluster, &e) != ERR_NONE)
        log_error("the private PostgreSQL was not stopped", "reason", e.detail, NULL);
    error_clear(&e);
    cluster_free(s->cluster);
}

void service_stop(struct service *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    background_stop(s->slow);
    background_stop(s->policy);
    // Both ask the HTTP server whether users are served.
    storage_stop(s->app.storage);
    if (s->app.scrub != NULL)
        scrub_stop(s->app.scrub);
    background_stop(s->scrubbing);
    http_server_stop(s->http);
    if (s->app.collector != NULL)
        collector_stop(s->app.collector);
    background_stop(s->gc);
    background_stop(s->tend);
    background_stop(s->sweep);
    background_stop(s->refresh);
    background_stop(s->database);
    auth_free(s->app.auth);
    scrub_free(s->app.scrub);
    collector_free(s->app.collector);
    tensor_indexes_free(s->app.tensors);
    policy_free(s->app.policy);
    registry_free(s->app.registry);
    storage_close(s->app.storage);
    db_pool_free(s->app.db);
    stop_cluster(s);
    metrics_free(s->app.metrics);
    read_log_free(s->app.reads);
    if (s->lock >= 0)
        close(s->lock);
    free(s->data_dir);
    free(s);
}
