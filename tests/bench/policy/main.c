// SPDX-License-Identifier: Apache-2.0
// Runs passes of the policy over a database that a script filled, and says what each
// cost. usage: bench-policy URL DIR, then lines on the standard input:
//   put JSON      new tier rules
//   pass          until nothing is due
// Each is answered by a line of JSON. Moves that a pass begins stay queued.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/migrate.h"
#include "common/embedded.h"
#include "server/policy/evaluate.h"
#include "server/policy/rule_store.h"

#define NODE 1
#define STATEMENT_MS (3600 * 1000)
#define CAPACITY (UINT64_C(1) << 50)

static const struct actor nobody = {
    .principal_id = 1, .principal = "bench", .token_id = "bench", .request_id = ""};

static void check(enum err err, const struct error *e)
{
    if (err == ERR_NONE)
        return;
    fprintf(stderr, "bench-policy: %s\n", e->detail);
    exit(1);
}

static struct storage *open_storage(struct db_pool *pool, const char *dir)
{
    struct error e = {0};
    struct storage *storage = NULL;
    struct storage_options options = {.data_dir = dir,
                                      .node = NODE,
                                      .max_blob_size = CAPACITY,
                                      .descriptor_cache = 16,
                                      .movers = 1};
    for (int tier = 0; tier < TIER_COUNT; tier++)
        options.tiers[tier] =
            (struct storage_tier_options){.high_mark = 90, .low_mark = 80};
    check(storage_open(&options, pool, &storage, &e), &e);
    check(storage_repair(storage, &e), &e);
    return storage;
}

static void put(struct policy *policy, const char *text)
{
    struct error e = {0};
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    CLEANUP(tier_rules_row_clear) struct tier_rules_row row = {0};
    check(tier_rules_put(policy, &nobody, json, NULL, &row, &e), &e);
    printf("{\"version\":%" PRId64 "}\n", row.version);
}

static void pass(struct policy *policy)
{
    struct error e = {0};
    struct policy_result result;
    const struct policy_budget all = {0};
    int64_t begun_us = clock_monotonic_us();
    check(policy_pass(policy, &all, &result, &e), &e);
    printf("{\"seconds\":%.6f,\"versions\":%" PRId64 ",\"blobs\":%" PRId64
           ",\"moves\":%" PRId64 "}\n",
           (double)(clock_monotonic_us() - begun_us) / 1e6, result.versions,
           result.blobs, result.moves);
}

static void obey(struct policy *policy)
{
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        line[length - 1] = '\0';
        if (strncmp(line, "put ", 4) == 0)
            put(policy, line + 4);
        else if (strcmp(line, "pass") == 0)
            pass(policy);
        else
            exit(2);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct error e = {0};
    if (argc != 3)
        return 2;
    struct db_pool *pool =
        db_pool_new(&(struct db_options){.url = argv[1],
                                         .connections = 4,
                                         .acquire_timeout_ms = 10000,
                                         .statement_timeout_ms = STATEMENT_MS});
    check(db_migrate(pool, embedded_migrations, embedded_migrations_count, NULL, &e),
          &e);
    struct storage *storage = open_storage(pool, argv[2]);
    struct registry *registry =
        registry_new(&(struct registry_options){.db = pool, .cache_bytes = 1 << 20});
    struct policy *policy = policy_new(&(struct policy_options){
        .db = pool,
        .registry = registry,
        .storage = storage,
        .node = NODE,
        .decide = {.heat = {.half_life_us = 7 * 86400 * INT64_C(1000000),
                            .window_us = 3600 * INT64_C(1000000)},
                   .promote_reads = 2,
                   .promote_windows = 48,
                   .promote_heat = 0.5,
                   .residence_times = 10,
                   .retry_us = 3600 * INT64_C(1000000)}});
    check(policy_start(policy, &e), &e);
    puts("{}"); // ready
    fflush(stdout);
    obey(policy);
    policy_free(policy);
    registry_free(registry);
    storage_close(storage);
    db_pool_free(pool);
    return 0;
}
