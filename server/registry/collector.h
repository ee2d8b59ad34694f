// SPDX-License-Identifier: Apache-2.0
// Runs of garbage collection: purges deleted versions, deletes blobs that nothing
// names, removes their files, sets aside files that no row names. One run at a time.
// Any thread.
#pragma once

#include "server/registry/registry.h"
#include "storage/gc.h"

struct collector;

struct collector_options {
    struct registry *registry;
    struct storage *storage;
    int64_t interval_ms;        // between two runs
    int64_t orphan_interval_ms; // between two looks at every file
    int64_t orphan_age_s;       // younger files may be about to be named
};
struct collector *collector_new(const struct collector_options *options);
void collector_free(struct collector *collector); // NULL is allowed; nothing runs

// Runs when it is time, or when it was asked for; called every second by one thread.
enum err collector_tick(struct collector *collector, struct error *e) MUST_CHECK;
// Ends a run soon, for good.
void collector_stop(struct collector *collector);
// A run begins at the next tick, with a look at every file. Its number.
int64_t collector_start(struct collector *collector);

struct collector_state {
    bool is_running;
    int64_t run;             // the number of the last one that began, 0 = none
    int64_t began_us;        // of that one
    int64_t ended_us;        // 0: it runs
    int64_t purged;          // versions
    struct gc_result result; // of that one
    char error[512];         // why it ended early, or ""
    int64_t blobs, bytes;    // deleted since the server's start
};
void collector_show(struct collector *collector, struct collector_state *state);
