// SPDX-License-Identifier: Apache-2.0
// What handlers work with. Made once by main, read-only afterwards.
#pragma once

#include "common/config.h"
#include "common/db/db.h"
#include "common/metrics.h"

struct auth;
struct collector;
struct health;
struct policy;
struct read_log;
struct registry;
struct scrub;
struct storage;
struct tensor_indexes;

struct app {
    const struct config *config;
    struct db_pool *db;
    struct storage *storage;
    struct registry *registry;
    struct tensor_indexes *tensors;
    struct collector *collector;
    struct policy *policy;
    struct scrub *scrub;
    struct read_log *reads;
    struct auth *auth;
    struct metrics *metrics;
    struct health *health;
};
