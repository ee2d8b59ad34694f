// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/counted_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "storage/tier_directory.h"

struct counted_reader {
    struct tier_reader reader;
    struct counted_store *store;
    struct tier_reader *inner;
};

static void pass_gate(struct counted_store *s, uint64_t offset)
{
    pthread_mutex_lock(&s->lock);
    while (s->is_closed && offset >= s->closed_from)
        pthread_cond_wait(&s->opened, &s->lock);
    unsigned delay_us = s->delay_us;
    pthread_mutex_unlock(&s->lock);
    if (delay_us > 0)
        usleep(delay_us);
}

static bool is_away(struct counted_store *s)
{
    pthread_mutex_lock(&s->lock);
    bool away = s->is_away;
    pthread_mutex_unlock(&s->lock);
    return away;
}

static enum err counted_read(struct tier_reader *reader, uint64_t offset, void *bytes,
                             size_t size, struct error *e)
{
    struct counted_reader *r = (struct counted_reader *)reader;
    struct counted_store *s = r->store;
    unsigned reading = atomic_fetch_add(&s->reading, 1) + 1;
    unsigned most = atomic_load(&s->reading_most);
    while (reading > most &&
           !atomic_compare_exchange_weak(&s->reading_most, &most, reading))
        ;
    pass_gate(s, offset);
    enum err err = is_away(s) ? error_set(e, ERR_UNAVAILABLE, "away")
                              : r->inner->ops->read(r->inner, offset, bytes, size, e);
    atomic_fetch_add(&s->reads, 1);
    atomic_fetch_add(&s->bytes, size);
    atomic_fetch_sub(&s->reading, 1);
    return err;
}

static void counted_reader_free(struct tier_reader *reader)
{
    struct counted_reader *r = (struct counted_reader *)reader;
    r->inner->ops->free(r->inner);
    free(r);
}

static const struct tier_reader_ops reader_ops = {.read = counted_read,
                                                  .free = counted_reader_free};

static enum err counted_reader_new(struct tier_store *store, const struct tier_key *key,
                                   unsigned flags, struct tier_reader **reader,
                                   struct error *e)
{
    struct counted_store *s = (struct counted_store *)store;
    struct tier_reader *inner = NULL;
    enum err err = s->directory->ops->reader_new(s->directory, key, flags, &inner, e);
    if (err != ERR_NONE)
        return err;
    struct counted_reader *r = alloc_zero(sizeof *r);
    *r = (struct counted_reader){{&reader_ops}, s, inner};
    *reader = &r->reader;
    return ERR_NONE;
}

static const struct tier_ops store_ops = {
    .kind = "counted", .parallel = 8, .reader_new = counted_reader_new};

struct counted_store *counted_store_new(void)
{
    struct counted_store *s = alloc_zero(sizeof *s);
    s->store.ops = &store_ops;
    strcpy(s->root, "/tmp/strata-counted.XXXXXX");
    assert_non_null(mkdtemp(s->root));
    struct error e = {0};
    assert_int_equal(tier_directory_new(s->root, &s->directory, &e), ERR_NONE);
    assert_int_equal(s->directory->ops->prepare(s->directory, &e), ERR_NONE);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->opened, NULL);
    return s;
}

void counted_store_free(struct counted_store *s)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", s->root);
    s->directory->ops->free(s->directory);
    assert_int_equal(system(command), 0);
    pthread_cond_destroy(&s->opened);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void counted_store_close(struct counted_store *s, uint64_t from)
{
    pthread_mutex_lock(&s->lock);
    s->is_closed = true;
    s->closed_from = from;
    pthread_mutex_unlock(&s->lock);
}

void counted_store_open(struct counted_store *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_closed = false;
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
}

void counted_store_put(struct counted_store *s, const struct tier_key *key,
                       const void *bytes, size_t size)
{
    struct error e = {0};
    struct tier_writer *writer = NULL;
    assert_int_equal(
        s->directory->ops->writer_new(s->directory, key, size, &writer, &e), ERR_NONE);
    assert_int_equal(writer->ops->write(writer, bytes, size, &e), ERR_NONE);
    assert_int_equal(writer->ops->finish(writer, &e), ERR_NONE);
    writer->ops->free(writer);
}

static void path_of(const struct counted_store *s, const struct tier_key *key,
                    char path[256])
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&key->digest, hex);
    snprintf(path, 256, "%s/sha256/%.2s/%s.%lld", s->root, hex, hex,
             (long long)key->id);
    assert_int_equal(chmod(path, 0600), 0);
}

void counted_store_damage(struct counted_store *s, const struct tier_key *key,
                          uint64_t offset)
{
    char path[256], byte;
    path_of(s, key, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

void counted_store_cut(struct counted_store *s, const struct tier_key *key,
                       uint64_t size)
{
    char path[256];
    path_of(s, key, path);
    assert_int_equal(truncate(path, (off_t)size), 0);
}
