// SPDX-License-Identifier: Apache-2.0
// Three tiers with sizes and speeds, movers that copy one blob each at a time, and a
// virtual clock; what goes where is asked of a strategy. Every blob has its copy on the
// cold tier from its birth, as with a bucket, and is born on the fastest tier with
// room.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/policy/decide.h"
#include "tests/bench/tiersim/trace.h"

struct sim_blob {
    int64_t since_us[TIER_COUNT]; // 0: no ready copy there
    bool is_coming[TIER_COUNT];   // a move is to write it
    struct heat heat;
    int64_t read_us; // by whatever part of it
    int64_t next_us; // the next read
    bool is_moving;
    // For S3-FIFO, by tier: its place in the queues.
    struct {
        int64_t turn;
        int reads;
        bool is_main, is_ghost;
        uint64_t evicted; // bytes that had left the tier when it did
    } fifo[TIER_COUNT];
};

struct sim_move {
    uint32_t blob;
    enum tier from, to;
    bool drops;
    int64_t end_us; // once it is running
};

struct sim_result {
    uint64_t read[TIER_COUNT];     // bytes
    uint64_t requests[TIER_COUNT]; // of whole files or parts
    uint64_t up, down;             // bytes that moves wrote on a faster, slower tier
    double waited_s;               // of readers, for bytes of the cold tier
};

struct sim_strategy;

#define SIM_MOVERS 2
struct sim {
    const struct trace *trace;
    const struct sim_strategy *strategy;
    void *state; // of the strategy
    int64_t now_us;
    struct sim_blob *blobs;
    size_t born; // blobs that are there
    uint64_t capacity[TIER_COUNT];
    uint64_t used[TIER_COUNT];   // with those that are being written
    uint64_t coming[TIER_COUNT]; // of moves that wait
    struct sim_move *queue;      // a ring
    size_t queue_first, queue_count, queue_room;
    struct sim_move running[SIM_MOVERS];
    size_t running_count;
    struct sim_result result;
};

struct sim_strategy {
    const char *name;
    void *(*begin)(struct sim *sim, const void *options);
    void (*on_birth)(struct sim *sim, uint32_t blob); // before it takes its place
    void (*on_read)(struct sim *sim, uint32_t blob, double share, enum tier from);
    // A move is to start: time to make room.
    void (*on_start)(struct sim *sim, const struct sim_move *move);
    void (*on_pass)(struct sim *sim); // every SIM_PASS_US
    void (*end)(struct sim *sim);
};

#define SIM_PASS_US (30 * TRACE_SECOND)
extern const uint64_t sim_read_rate[TIER_COUNT], sim_write_rate[TIER_COUNT];

struct sim_setup {
    const struct sim_strategy *strategy;
    const void *options; // of the strategy
    double hot, warm;    // capacities, as shares of the bytes of all blobs
};
struct sim_result sim_run(const struct trace *trace, const struct sim_setup *setup);

// ---- for strategies -----------------------------------------------------------------

enum tier sim_present(const struct sim_blob *blob);
// Copies to `to` when there is a mover free; copies above go then when `drops`. What
// has nothing to copy is done at once. False: another move of the blob is under way.
bool sim_move_begin(struct sim *sim, uint32_t blob, enum tier to, bool drops);
// At once, as if it took no time.
void sim_place(struct sim *sim, uint32_t blob, enum tier from, enum tier tier);
uint64_t sim_size(const struct sim *sim, uint32_t blob);
void sim_drop(struct sim *sim, uint32_t blob, enum tier tier);
