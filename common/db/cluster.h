// SPDX-License-Identifier: Apache-2.0
// The private PostgreSQL (DESIGN section 4): a cluster of the machine's PostgreSQL in
// DATA/postgres, on a Unix socket that only its user and root can reach. It runs in a
// session of its own and outlives a stratad that is killed, which the next one adopts.
//
// One thread starts, checks and stops it.
#pragma once

#include <stdbool.h>

#include "common/error.h"

struct cluster;

struct cluster_options {
    const char *data_dir; // absolute, exists
    int connections;      // that the pool may open
    bool fsync;           // false in tests alone
    bool (*cancelled)(void); // asked while waiting for the start; may be NULL
};

// Finds PostgreSQL, makes the cluster at first start, adopts or starts the server and
// waits until it takes connections. Errors say which command to run.
enum err cluster_start(const struct cluster_options *options, struct cluster **cluster,
                       struct error *e) MUST_CHECK;
// libpq connection string, valid until cluster_free.
const char *cluster_url(const struct cluster *cluster);
// Starts the server again when it has died; *restarted (may be NULL) says so. To be
// called about every second.
enum err cluster_check(struct cluster *cluster, bool *restarted,
                       struct error *e) MUST_CHECK;
// Stops the server (fast: sessions are cut, the data is flushed) and waits for it.
enum err cluster_stop(struct cluster *cluster, struct error *e) MUST_CHECK;
void cluster_free(struct cluster *cluster); // does not stop it; NULL is allowed
