// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_s3.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "storage/s3_list.h"
#include "storage/s3_multipart.h"
#include "storage/s3_object.h"
#include "storage/s3_writer.h"
#include "storage/tier_file.h"

#define MIB ((uint64_t)1 << 20)
#define PART_MINIMUM (8 * MIB)
#define IDENTITY_MAXIMUM ((size_t)64 << 10)
#define PREFIX_MAXIMUM 512 // a key has at most 1,024 bytes

struct tier_s3 {
    struct tier_store store;
    struct tier_ops ops; // `parallel` is an option
    struct s3_client *client;
    char *prefix;
    uint64_t part_minimum, copy_piece;
};

static struct tier_s3 *of(struct tier_store *store)
{
    assert(strcmp(store->ops->kind, "s3") == 0);
    return (struct tier_s3 *)store;
}

struct s3_client *tier_s3_client(struct tier_store *store)
{
    return of(store)->client;
}

static char *key_of(const struct tier_s3 *tier, const struct tier_key *key)
{
    char name[TIER_FILE_NAME_SIZE];
    tier_file_name_final(&key->digest, key->id, name);
    return alloc_printf("%s%s", tier->prefix, name);
}

// ---- writing ----------------------------------------------------------------------

uint64_t tier_s3_part_size(uint64_t bound, uint64_t minimum)
{
    uint64_t least = (bound + S3_PARTS_MAXIMUM - 1) / S3_PARTS_MAXIMUM;
    uint64_t whole = (least + MIB - 1) / MIB * MIB;
    return whole > minimum ? whole : minimum;
}

struct writer {
    struct tier_writer writer;
    struct s3_writer *s3;
};

static enum err writer_write(struct tier_writer *writer, const void *bytes, size_t size,
                             struct error *e)
{
    return s3_writer_write(((struct writer *)writer)->s3, bytes, size, e);
}

static enum err writer_finish(struct tier_writer *writer, struct error *e)
{
    return s3_writer_finish(((struct writer *)writer)->s3, e);
}

static void writer_free(struct tier_writer *writer)
{
    s3_writer_free(((struct writer *)writer)->s3);
    free(writer);
}

static const struct tier_writer_ops writer_ops = {
    .write = writer_write,
    .finish = writer_finish,
    .free = writer_free,
};

static enum err s3_writer_new_for(struct tier_store *store, const struct tier_key *key,
                                  uint64_t bound, struct tier_writer **writer,
                                  struct error *e)
{
    struct tier_s3 *tier = of(store);
    if (bound > S3_OBJECT_MAXIMUM)
        return error_set(e, ERR_INSUFFICIENT_STORAGE,
                         "an object of a bucket has at most 5 TiB");
    AUTO_FREE char *name = key_of(tier, key);
    struct writer *w = alloc_zero(sizeof *w);
    w->writer.ops = &writer_ops;
    w->s3 = s3_writer_new(tier->client, name, bound,
                          tier_s3_part_size(bound, tier->part_minimum));
    *writer = &w->writer;
    return ERR_NONE;
}

// ---- reading ----------------------------------------------------------------------

struct reader {
    struct tier_reader reader;
    struct s3_client *client;
    char *key;
    bool as_it_is;
};

static enum err reader_read(struct tier_reader *reader, uint64_t offset, void *bytes,
                            size_t size, struct error *e)
{
    struct reader *r = (struct reader *)reader;
    enum err err = s3_object_read(r->client, r->key, offset, bytes, size, e);
    return err == ERR_ARCHIVED && !r->as_it_is
               ? s3_object_ask_back(r->client, r->key, e)
               : err;
}

static void reader_free(struct tier_reader *reader)
{
    struct reader *r = (struct reader *)reader;
    free(r->key);
    free(r);
}

static const struct tier_reader_ops reader_ops = {
    .read = reader_read,
    .free = reader_free,
};

static enum err s3_reader_new(struct tier_store *store, const struct tier_key *key,
                              unsigned flags, struct tier_reader **reader,
                              struct error *e)
{
    (void)e;
    struct reader *r = alloc_zero(sizeof *r);
    *r = (struct reader){.reader.ops = &reader_ops,
                         .client = of(store)->client,
                         .key = key_of(of(store), key),
                         .as_it_is = flags & TIER_READ_AS_IT_IS};
    *reader = &r->reader;
    return ERR_NONE;
}

// ---- one copy -----------------------------------------------------------------------

static enum err s3_stat(struct tier_store *store, const struct tier_key *key,
                        bool *found, uint64_t *size, struct error *e)
{
    AUTO_FREE char *name = key_of(of(store), key);
    return s3_object_head(of(store)->client, name, found, size, e);
}

struct aborting {
    struct s3_client *client;
    int64_t before_us;
    const char *key; // only of this one; NULL: of all
    uint64_t count;
};

static enum err abort_one(void *context, const struct s3_item *item, struct error *e)
{
    struct aborting *a = context;
    if (item->upload_id == NULL || item->modified_us >= a->before_us ||
        (a->key != NULL && strcmp(item->key, a->key) != 0))
        return ERR_NONE;
    a->count++;
    return s3_multipart_abort(a->client, item->key, item->upload_id, e);
}

static enum err s3_remove(struct tier_store *store, const struct tier_key *key,
                          struct error *e)
{
    AUTO_FREE char *name = key_of(of(store), key);
    struct aborting a = {
        .client = of(store)->client, .before_us = INT64_MAX, .key = name};
    // The uploads first: one that completes meanwhile is deleted after that.
    enum err err = s3_list_uploads(a.client, name, abort_one, &a, e);
    return err == ERR_NONE ? s3_object_delete(a.client, name, e) : err;
}

static enum err s3_quarantine(struct tier_store *store, const struct tier_found *found,
                              struct error *e)
{
    struct tier_s3 *tier = of(store);
    uint32_t chance = 0;
    RAND_bytes((unsigned char *)&chance, sizeof chance);
    AUTO_FREE char *from = alloc_printf("%s%s", tier->prefix, found->name);
    AUTO_FREE char *to =
        alloc_printf("%s" TIER_FILE_QUARANTINE "/%" PRId64 "-%08" PRIx32 "/%s",
                     tier->prefix, clock_wall_us(), chance, found->name);
    enum err err =
        s3_object_copy(tier->client, from, to, found->size, tier->copy_piece, e);
    return err == ERR_NONE ? s3_object_delete(tier->client, from, e) : err;
}

// ---- the whole tier ----------------------------------------------------------------

static enum err s3_identity_read(struct tier_store *store,
                                 struct tier_identity *identity, bool *found,
                                 struct error *e)
{
    struct tier_s3 *tier = of(store);
    AUTO_FREE char *key = alloc_printf("%s" TIER_IDENTITY_FILE, tier->prefix);
    CLEANUP(buf_clear) struct buf text = {0};
    buf_init(&text, IDENTITY_MAXIMUM);
    enum err err = s3_object_get(tier->client, key, &text, e);
    *found = err == ERR_NONE;
    if (err == ERR_BLOB_NOT_FOUND) {
        error_clear(e);
        return ERR_NONE;
    }
    return err == ERR_NONE ? tier_identity_parse(text.data, text.size, identity, e)
                           : err;
}

static enum err s3_identity_write(struct tier_store *store,
                                  const struct tier_identity *identity, struct error *e)
{
    struct tier_s3 *tier = of(store);
    AUTO_FREE char *key = alloc_printf("%s" TIER_IDENTITY_FILE, tier->prefix);
    AUTO_FREE char *text = tier_identity_format(identity);
    return s3_object_put(tier->client, key, text, strlen(text), e);
}

static enum err note_any(void *context, const struct s3_item *item, struct error *e)
{
    (void)item, (void)e;
    *(bool *)context = false;
    return ERR_NONE;
}

static enum err s3_is_empty(struct tier_store *store, bool *empty, struct error *e)
{
    *empty = true;
    return s3_list_objects(of(store)->client, of(store)->prefix, 1, note_any, empty, e);
}

// The bucket itself is the administrator's to make.
static enum err s3_prepare(struct tier_store *store, struct error *e)
{
    (void)store, (void)e;
    return ERR_NONE;
}

struct visit {
    const char *prefix;
    tier_visit_fn *visit;
    void *context;
};

static bool parse_name(const char *name, struct tier_key *key)
{
    const char *slash = strrchr(name, '/');
    AUTO_FREE char *folder = alloc_copy_n(name, (size_t)(slash - name));
    struct tier_file_name parsed;
    if (!tier_file_name_parse(folder, slash + 1, &parsed) || !parsed.is_final)
        return false;
    *key = (struct tier_key){.digest = parsed.digest, .id = parsed.id};
    return true;
}

static enum err visit_one(void *context, const struct s3_item *item, struct error *e)
{
    struct visit *v = context;
    struct tier_found found = {.name = item->key + strlen(v->prefix),
                               .size = item->size,
                               .modified_us = item->modified_us};
    found.is_known = parse_name(found.name, &found.key);
    return v->visit(v->context, &found, e);
}

static enum err s3_each(struct tier_store *store, tier_visit_fn *visit, void *context,
                        struct error *e)
{
    struct tier_s3 *tier = of(store);
    AUTO_FREE char *below = alloc_printf("%ssha256/", tier->prefix);
    struct visit v = {.prefix = tier->prefix, .visit = visit, .context = context};
    return s3_list_objects(tier->client, below, 0, visit_one, &v, e);
}

static enum err s3_sweep(struct tier_store *store, int64_t before_us, uint64_t *swept,
                         struct error *e)
{
    struct tier_s3 *tier = of(store);
    AUTO_FREE char *below = alloc_printf("%ssha256/", tier->prefix);
    struct aborting a = {.client = tier->client, .before_us = before_us};
    enum err err = s3_list_uploads(tier->client, below, abort_one, &a, e);
    *swept = a.count;
    return err;
}

static enum err s3_space(struct tier_store *store, struct tier_space *space,
                         struct error *e)
{
    (void)store, (void)e;
    *space = (struct tier_space){.is_limited = false};
    return ERR_NONE;
}

static void s3_free(struct tier_store *store)
{
    struct tier_s3 *tier = of(store);
    s3_client_free(tier->client);
    free(tier->prefix);
    free(tier);
}

static const struct tier_ops s3_ops = {
    .kind = "s3",
    .free = s3_free,
    .identity_read = s3_identity_read,
    .identity_write = s3_identity_write,
    .is_empty = s3_is_empty,
    .prepare = s3_prepare,
    .writer_new = s3_writer_new_for,
    .reader_new = s3_reader_new,
    .stat = s3_stat,
    .remove = s3_remove,
    .quarantine = s3_quarantine,
    .each = s3_each,
    .sweep = s3_sweep,
    .space = s3_space,
};

enum err tier_s3_new(const struct tier_s3_options *options, struct tier_store **store,
                     struct error *e)
{
    const char *prefix = options->prefix != NULL ? options->prefix : "";
    if (strlen(prefix) > PREFIX_MAXIMUM || prefix[0] == '/')
        return error_set(e, ERR_BAD_REQUEST,
                         "s3_prefix has at most %d bytes and no slash at its start",
                         PREFIX_MAXIMUM);
    struct tier_s3 *tier = alloc_zero(sizeof *tier);
    enum err err = s3_client_new(&options->client, &tier->client, e);
    if (err != ERR_NONE) {
        free(tier);
        return err;
    }
    tier->ops = s3_ops;
    tier->ops.parallel = options->client.connections;
    tier->store.ops = &tier->ops;
    tier->prefix = alloc_copy(prefix);
    tier->part_minimum =
        options->part_minimum > 0 ? options->part_minimum : PART_MINIMUM;
    tier->copy_piece = options->copy_piece;
    *store = &tier->store;
    return ERR_NONE;
}
