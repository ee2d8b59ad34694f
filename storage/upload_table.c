// SPDX-License-Identifier: Apache-2.0
#include "storage/upload_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define BUCKETS 256
#define IDLE_MAXIMUM 256 // uploads kept open that nobody holds

struct upload_table {
    pthread_mutex_t lock;
    struct upload *buckets[BUCKETS];
    size_t idle;
};

struct upload_table *upload_table_new(void)
{
    struct upload_table *table = alloc_zero(sizeof *table);
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

static void upload_free(struct upload *u)
{
    if (u->fd >= 0)
        close(u->fd);
    if (u->direct_fd >= 0)
        close(u->direct_fd);
    chain_hasher_free(u->hasher);
    chain_clear(&u->chain);
    free(u->chain_known);
    error_clear(&u->failure);
    free(u->slots);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

void upload_table_free(struct upload_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (table->buckets[i] != NULL) {
            struct upload *u = table->buckets[i];
            assert(u->references == 0);
            table->buckets[i] = u->next;
            upload_free(u);
        }
    }
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static struct upload **bucket_of(struct upload_table *table, const char *id)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (; *id != '\0'; id++)
        hash = (hash ^ (uint8_t)*id) * 16777619u;
    return &table->buckets[hash % BUCKETS];
}

static void take_off(struct upload_table *table, struct upload *u)
{
    struct upload **at = bucket_of(table, u->id);
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    u->listed = false;
}

static struct upload *make(struct upload_table *table, const char *id)
{
    struct upload *u = alloc_zero(sizeof *u);
    snprintf(u->id, sizeof u->id, "%s", id);
    u->fd = u->direct_fd = -1;
    u->state = UPLOAD_LOADING;
    u->references = 1;
    u->listed = true;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->changed, NULL);
    struct upload **at = bucket_of(table, id);
    u->next = *at;
    *at = u;
    return u;
}

struct upload *upload_hold(struct upload_table *table, const char *id, bool *is_new)
{
    LOCK_SCOPE(&table->lock);
    struct upload *u = *bucket_of(table, id);
    while (u != NULL && strcmp(u->id, id) != 0)
        u = u->next;
    *is_new = u == NULL;
    if (u == NULL)
        return make(table, id);
    if (u->references++ == 0)
        table->idle--;
    return u;
}

struct upload *upload_hold_again(struct upload_table *table, struct upload *u)
{
    LOCK_SCOPE(&table->lock);
    assert(u->references > 0);
    u->references++;
    return u;
}

static void free_list(struct upload *list)
{
    while (list != NULL) {
        struct upload *u = list;
        list = u->next;
        upload_free(u);
    }
}

// Unlists idle uploads that were let go before `before_ms`.
static struct upload *take_idle(struct upload_table *table, int64_t before_ms)
{
    struct upload *taken = NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct upload **at = &table->buckets[i];
        while (*at != NULL) {
            struct upload *u = *at;
            if (u->references > 0 || u->idle_since_ms > before_ms) {
                at = &u->next;
                continue;
            }
            *at = u->next;
            u->next = taken;
            taken = u;
            table->idle--;
        }
    }
    return taken;
}

void upload_table_trim(struct upload_table *table, int64_t idle_ms)
{
    pthread_mutex_lock(&table->lock);
    struct upload *taken = take_idle(table, clock_monotonic_ms() - idle_ms);
    pthread_mutex_unlock(&table->lock);
    free_list(taken);
}

void upload_release(struct upload_table *table, struct upload *u)
{
    if (u == NULL)
        return;
    pthread_mutex_lock(&table->lock);
    assert(u->references > 0);
    bool last = --u->references == 0;
    bool unlisted = last && !u->listed;
    if (last && u->listed) {
        u->idle_since_ms = clock_monotonic_ms();
        table->idle++;
    }
    size_t idle = table->idle;
    pthread_mutex_unlock(&table->lock);
    if (unlisted)
        upload_free(u);
    // What is left out is read from its row again when somebody asks for it.
    if (idle > IDLE_MAXIMUM)
        upload_table_trim(table, idle > 2 * IDLE_MAXIMUM ? 0 : 60 * 1000);
}

static void unlist(struct upload_table *table, struct upload *u)
{
    LOCK_SCOPE(&table->lock);
    if (u->listed)
        take_off(table, u);
}

void upload_settle(struct upload_table *table, struct upload *u,
                   enum upload_state state)
{
    // Off the table first: who looks for it again reads its row.
    if (state == UPLOAD_DONE || state == UPLOAD_GONE)
        unlist(table, u);
    LOCK_SCOPE(&u->lock);
    u->state = state;
    pthread_cond_broadcast(&u->changed);
}

void upload_fail(struct upload_table *table, struct upload *u, const struct error *why)
{
    unlist(table, u);
    LOCK_SCOPE(&u->lock);
    error_clear(&u->failure);
    u->failure = *why;
    u->failure.extra = NULL;
    u->state = UPLOAD_GONE;
    pthread_cond_broadcast(&u->changed);
}
