// SPDX-License-Identifier: Apache-2.0
// The policy: which tier each blob should be on, by pins, explicit moves, rules and
// heat, in this order (DESIGN section 6). Everything else in this folder works on a
// struct policy. Any thread.
#pragma once

#include "server/policy/decide.h"
#include "server/registry/registry.h"
#include "storage/read_log.h"
#include "storage/storage.h"

struct policy;

struct policy_options {
    struct db_pool *db;
    struct registry *registry;
    struct storage *storage;
    struct read_log *reads; // what policy_flush_heat takes; the storage's
    int64_t node;           // this node's id
    struct decide_options decide;
};

// What the options point to must live on.
struct policy *policy_new(const struct policy_options *options);
// Once, after the migrations: scores copies anew when the half-life was changed.
enum err policy_start(struct policy *policy, struct error *e) MUST_CHECK;
void policy_free(struct policy *policy); // NULL is allowed
