// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

// Bytes a second of one stream: NVMe, a hard disk, a bucket through a link that others
// use as well. Writing hashes and syncs.
const uint64_t sim_read_rate[TIER_COUNT] = {3000000000, 200000000, 100000000};
const uint64_t sim_write_rate[TIER_COUNT] = {1000000000, 150000000, 100000000};

enum tier sim_present(const struct sim_blob *blob)
{
    int tier = TIER_HOT;
    while (tier < TIER_COLD && blob->since_us[tier] == 0)
        tier++;
    return (enum tier)tier;
}

uint64_t sim_size(const struct sim *sim, uint32_t blob)
{
    return sim->trace->blobs[blob].size;
}

static bool counts(const struct sim *sim)
{
    return sim->now_us >= sim->trace->warmup_us;
}

void sim_drop(struct sim *sim, uint32_t blob, enum tier tier)
{
    if (sim->blobs[blob].since_us[tier] == 0 || tier == TIER_COLD)
        return;
    sim->blobs[blob].since_us[tier] = 0;
    sim->used[tier] -= sim_size(sim, blob);
}

static void drop_above(struct sim *sim, uint32_t blob, enum tier tier)
{
    for (int above = TIER_HOT; above < (int)tier; above++)
        sim_drop(sim, blob, (enum tier)above);
}

// ---- moves --------------------------------------------------------------------------

bool sim_move_begin(struct sim *sim, uint32_t blob, enum tier to, bool drops)
{
    struct sim_blob *b = &sim->blobs[blob];
    if (b->is_moving)
        return false;
    if (b->since_us[to] != 0) {
        if (drops)
            drop_above(sim, blob, to);
        return true;
    }
    if (sim->queue_count == sim->queue_room) {
        struct sim_move *old = sim->queue;
        sim->queue = alloc_array(2 * sim->queue_room + 64, sizeof *sim->queue);
        for (size_t i = 0; i < sim->queue_count; i++)
            sim->queue[i] = old[(sim->queue_first + i) % sim->queue_room];
        sim->queue_first = 0;
        sim->queue_room = 2 * sim->queue_room + 64;
        free(old);
    }
    sim->queue[(sim->queue_first + sim->queue_count++) % sim->queue_room] =
        (struct sim_move){.blob = blob, .to = to, .drops = drops};
    b->is_moving = true;
    b->is_coming[to] = true;
    sim->coming[to] += sim_size(sim, blob);
    return true;
}

static void start(struct sim *sim)
{
    struct sim_move move = sim->queue[sim->queue_first];
    sim->queue_first = (sim->queue_first + 1) % sim->queue_room;
    sim->queue_count--;
    if (sim->strategy->on_start != NULL)
        sim->strategy->on_start(sim, &move);
    sim->coming[move.to] -= sim_size(sim, move.blob);
    sim->used[move.to] += sim_size(sim, move.blob);
    move.from = sim_present(&sim->blobs[move.blob]);
    uint64_t rate = sim_read_rate[move.from];
    if (sim_write_rate[move.to] < rate)
        rate = sim_write_rate[move.to];
    move.end_us = sim->now_us +
                  (int64_t)((double)sim_size(sim, move.blob) / (double)rate * 1e6) + 1;
    sim->running[sim->running_count++] = move;
}

static void start_all(struct sim *sim)
{
    while (sim->queue_count > 0 && sim->running_count < SIM_MOVERS)
        start(sim);
}

static void count(struct sim *sim, uint32_t blob, enum tier from, enum tier to)
{
    if (counts(sim))
        *(to < from ? &sim->result.up : &sim->result.down) += sim_size(sim, blob);
}

void sim_place(struct sim *sim, uint32_t blob, enum tier from, enum tier tier)
{
    count(sim, blob, from, tier);
    sim->blobs[blob].since_us[tier] = sim->now_us;
    sim->used[tier] += sim_size(sim, blob);
}

static void finish(struct sim *sim, size_t index)
{
    struct sim_move move = sim->running[index];
    struct sim_blob *b = &sim->blobs[move.blob];
    sim->running[index] = sim->running[--sim->running_count];
    b->is_moving = b->is_coming[move.to] = false;
    b->since_us[move.to] = sim->now_us;
    count(sim, move.blob, move.from, move.to);
    if (move.drops)
        drop_above(sim, move.blob, move.to);
}

static bool next_end(const struct sim *sim, size_t *index)
{
    for (size_t i = 0; i < sim->running_count; i++) {
        if (i == 0 || sim->running[i].end_us < sim->running[*index].end_us)
            *index = i;
    }
    return sim->running_count > 0;
}

// ---- time ---------------------------------------------------------------------------

static void be_born(struct sim *sim)
{
    uint32_t blob = (uint32_t)sim->born++;
    uint64_t size = sim_size(sim, blob);
    struct sim_blob *b = &sim->blobs[blob];
    b->since_us[TIER_COLD] = b->read_us = sim->now_us;
    b->next_us = sim->trace->blobs[blob].first_us;
    if (sim->strategy->on_birth != NULL)
        sim->strategy->on_birth(sim, blob);
    for (int tier = TIER_HOT; tier < TIER_COLD; tier++) {
        if (sim->used[tier] + size > sim->capacity[tier])
            continue;
        b->since_us[tier] = sim->now_us;
        sim->used[tier] += size;
        return;
    }
}

static void be_read(struct sim *sim, const struct trace_read *read)
{
    struct sim_blob *b = &sim->blobs[read->blob];
    enum tier from = sim_present(b);
    if (counts(sim)) {
        sim->result.read[from] += read->bytes;
        sim->result.requests[from]++;
        if (from == TIER_COLD)
            sim->result.waited_s +=
                (double)read->bytes / (double)sim_read_rate[TIER_COLD];
    }
    b->next_us = read->next_us;
    double share = heat_reads(read->bytes, sim_size(sim, read->blob), 1);
    sim->strategy->on_read(sim, read->blob, share, from);
    b->read_us = sim->now_us;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void play(struct sim *sim)
{
    const struct trace *trace = sim->trace;
    size_t next = 0;
    int64_t pass_us = TRACE_BEGIN;
    for (;;) {
        size_t ending = 0;
        int64_t end_us =
            next_end(sim, &ending) ? sim->running[ending].end_us : INT64_MAX;
        int64_t birth_us = sim->born < trace->blobs_count
                               ? trace->blobs[sim->born].born_us
                               : INT64_MAX;
        int64_t read_us =
            next < trace->reads_count ? trace->reads[next].at_us : INT64_MAX;
        if (birth_us == INT64_MAX && read_us == INT64_MAX)
            return;
        sim->now_us = earlier(earlier(end_us, birth_us), earlier(read_us, pass_us));
        if (birth_us == sim->now_us) {
            be_born(sim);
        } else if (end_us == sim->now_us) {
            finish(sim, ending);
        } else if (read_us == sim->now_us) {
            be_read(sim, &trace->reads[next++]);
        } else {
            pass_us += SIM_PASS_US;
            if (sim->strategy->on_pass != NULL)
                sim->strategy->on_pass(sim);
        }
        start_all(sim);
    }
}

struct sim_result sim_run(const struct trace *trace, const struct sim_setup *setup)
{
    struct sim sim = {.trace = trace, .strategy = setup->strategy};
    sim.blobs = alloc_array(trace->blobs_count, sizeof *sim.blobs);
    sim.capacity[TIER_HOT] = (uint64_t)((double)trace->bytes * setup->hot);
    sim.capacity[TIER_WARM] = (uint64_t)((double)trace->bytes * setup->warm);
    sim.now_us = TRACE_BEGIN;
    sim.state = setup->strategy->begin != NULL
                    ? setup->strategy->begin(&sim, setup->options)
                    : NULL;
    play(&sim);
    if (setup->strategy->end != NULL)
        setup->strategy->end(&sim);
    free(sim.queue);
    free(sim.blobs);
    return sim.result;
}
