// SPDX-License-Identifier: Apache-2.0
// A tier store at the end of a pipe, for tests that stand between it and its bucket.
// The bucket is that of tests/unit/tier_subject.h. Each line of standard input is a
// command, each answered by one line, "ok …" or "SLUG DETAIL":
//
//     write ID SIZE [BOUND]    ok KEY SHA256    SIZE bytes that ID decides
//     give-up ID SIZE BOUND    ok               written, never finished
//     read ID OFFSET SIZE      ok SHA256
//     stat ID                  ok SIZE | ok missing
//     remove ID                ok
//     list                     ok COUNT
//     aside ID                 ok COUNT         quarantined
//     sweep SECONDS            ok COUNT         begun before now + SECONDS
//     identity                 ok EPOCH | ok missing
//     counters                 ok NAME=NUMBER…
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "storage/tier_s3.h"
#include "tests/unit/tier_subject.h"

static struct tier_key key_of(int64_t id)
{
    struct tier_key key = {.id = id};
    digest_of(&id, sizeof id, &key.digest);
    return key;
}

static void say_digest(const void *bytes, size_t size)
{
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    digest_of(bytes, size, &digest);
    digest_format(&digest, hex);
    printf(" %s", hex);
}

static enum err do_write(struct tier_store *store, const int64_t *n, bool finishes,
                         struct error *e)
{
    CLEANUP(tier_writer_free_at) struct tier_writer *writer = NULL;
    struct tier_key key = key_of(n[0]);
    size_t size = (size_t)n[1];
    uint64_t bound = n[2] > 0 ? (uint64_t)n[2] : size;
    AUTO_FREE unsigned char *bytes = tier_subject_bytes(size, (unsigned)n[0]);
    enum err err = store->ops->writer_new(store, &key, bound, &writer, e);
    for (size_t at = 0; err == ERR_NONE && at < size;) {
        size_t piece = size - at < 300000 ? size - at : 300000;
        err = writer->ops->write(writer, bytes + at, piece, e);
        at += piece;
    }
    if (err == ERR_NONE && finishes)
        err = writer->ops->finish(writer, e);
    if (err != ERR_NONE || !finishes)
        return err;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&key.digest, hex);
    printf("ok sha256/%.2s/%s.%" PRId64, hex, hex, key.id);
    say_digest(bytes, size);
    return ERR_NONE;
}

static enum err do_read(struct tier_store *store, const int64_t *n, struct error *e)
{
    CLEANUP(tier_reader_free_at) struct tier_reader *reader = NULL;
    struct tier_key key = key_of(n[0]);
    size_t size = (size_t)n[2];
    AUTO_FREE char *bytes = malloc(size + 1);
    enum err err = store->ops->reader_new(store, &key, 0, &reader, e);
    if (err == ERR_NONE)
        err = reader->ops->read(reader, (uint64_t)n[1], bytes, size, e);
    if (err == ERR_NONE) {
        printf("ok");
        say_digest(bytes, size);
    }
    return err;
}

static enum err do_stat(struct tier_store *store, const int64_t *n, struct error *e)
{
    struct tier_key key = key_of(n[0]);
    bool found;
    uint64_t size;
    enum err err = store->ops->stat(store, &key, &found, &size, e);
    if (err == ERR_NONE && found)
        printf("ok %" PRIu64, size);
    else if (err == ERR_NONE)
        printf("ok missing");
    return err;
}

struct listing {
    struct tier_store *store;
    int64_t aside; // quarantine this one; 0 = none
    unsigned count;
};

static enum err visit(void *context, const struct tier_found *found, struct error *e)
{
    struct listing *listing = context;
    if (listing->aside > 0 && found->key.id != listing->aside)
        return ERR_NONE;
    listing->count++;
    return listing->aside > 0
               ? listing->store->ops->quarantine(listing->store, found, e)
               : ERR_NONE;
}

static enum err do_list(struct tier_store *store, int64_t aside, struct error *e)
{
    struct listing listing = {store, aside, 0};
    enum err err = store->ops->each(store, visit, &listing, e);
    if (err == ERR_NONE)
        printf("ok %u", listing.count);
    return err;
}

static enum err do_sweep(struct tier_store *store, const int64_t *n, struct error *e)
{
    uint64_t swept;
    enum err err =
        store->ops->sweep(store, clock_wall_us() + n[0] * 1000000, &swept, e);
    if (err == ERR_NONE)
        printf("ok %" PRIu64, swept);
    return err;
}

static enum err do_identity(struct tier_store *store, struct error *e)
{
    struct tier_identity identity;
    bool found;
    enum err err = store->ops->identity_read(store, &identity, &found, e);
    if (err == ERR_NONE && found)
        printf("ok %" PRId64, identity.epoch);
    else if (err == ERR_NONE)
        printf("ok missing");
    return err;
}

static void say_counters(struct tier_store *store)
{
    struct s3_counters c;
    s3_client_count(tier_s3_client(store), &c);
    printf("ok requests=%" PRId64 " retries=%" PRId64 " network=%" PRId64
           " server=%" PRId64 " throttled=%" PRId64 " refused=%" PRId64
           " received=%" PRId64 " sent=%" PRId64 " breaker=%d",
           c.requests, c.retries, c.failed_network, c.failed_server, c.failed_throttled,
           c.failed_refused, c.received_bytes, c.sent_bytes,
           (int)s3_client_breaker(tier_s3_client(store)));
}

// What says nothing itself is answered by "ok".
static enum err run(struct tier_store *store, const char *name, const int64_t *n,
                    struct error *e)
{
    struct tier_key key = key_of(n[0]);
    enum err err = ERR_NONE;
    if (strcmp(name, "write") == 0)
        return do_write(store, n, true, e);
    if (strcmp(name, "read") == 0)
        return do_read(store, n, e);
    if (strcmp(name, "stat") == 0)
        return do_stat(store, n, e);
    if (strcmp(name, "list") == 0 || strcmp(name, "aside") == 0)
        return do_list(store, *name == 'a' ? n[0] : 0, e);
    if (strcmp(name, "sweep") == 0)
        return do_sweep(store, n, e);
    if (strcmp(name, "identity") == 0)
        return do_identity(store, e);
    if (strcmp(name, "give-up") == 0)
        err = do_write(store, n, false, e);
    else if (strcmp(name, "remove") == 0)
        err = store->ops->remove(store, &key, e);
    else
        abort();
    if (err == ERR_NONE)
        printf("ok");
    return err;
}

int main(void)
{
    struct tier_subject subject;
    char line[256];
    if (!tier_subject_init(&subject))
        return 1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char name[32] = "";
        int64_t n[3] = {0};
        struct error e = {0};
        sscanf(line, "%31s %" SCNd64 " %" SCNd64 " %" SCNd64, name, &n[0], &n[1],
               &n[2]);
        if (strcmp(name, "counters") == 0)
            say_counters(subject.store);
        else if (run(subject.store, name, n, &e) != ERR_NONE)
            printf("%s %s", error_slug(e.code), e.detail);
        error_clear(&e);
        printf("\n");
        fflush(stdout);
    }
    tier_subject_clear(&subject);
    return 0;
}
