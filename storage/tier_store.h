// SPDX-License-Identifier: Apache-2.0
// What each tier must be able to do: one struct of functions, implemented by a
// directory (storage/tier_directory.h) and by a bucket (storage/tier_s3.h). A copy is
// named by its blob and a placement's number that is never used twice (invariant 4).
//
// Errors, of all functions: ERR_BLOB_NOT_FOUND (no such copy), ERR_UNAVAILABLE (away,
// or cut short; retries within its own deadlines have been made), ERR_ARCHIVED (it has
// been asked back), ERR_INSUFFICIENT_STORAGE, ERR_INTERNAL. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"
#include "storage/tier_identity.h"

struct tier_key {
    struct digest digest;
    int64_t id;
};

// What lies on a tier.
struct tier_found {
    const char *name; // of the file or key, below the root or prefix
    bool is_known;    // a name that Strata writes; then `key` is filled in
    bool is_incoming; // written, but not named yet: `key.digest` is not known
    struct tier_key key;
    uint64_t size;       // bytes; of incoming files of no account
    int64_t modified_us; // since 1970
};
typedef enum err tier_visit_fn(void *context, const struct tier_found *found,
                               struct error *e);

struct tier_space {
    bool is_limited;    // false: nobody knows an end, as of a bucket
    uint64_t total;     // bytes of the file system
    uint64_t available; // bytes that can still be written
    bool is_read_only;  // nothing can be written or removed for now
};

// A copy that is being written, from its first byte to its last. One thread at a time.
struct tier_writer {
    const struct tier_writer_ops *ops;
};
struct tier_writer_ops {
    enum err (*write)(struct tier_writer *writer, const void *bytes, size_t size,
                      struct error *e);
    // Durable and under its name when it returns ERR_NONE. Called once; a failure is
    // final and leaves nothing but what `remove` takes away.
    enum err (*finish)(struct tier_writer *writer, struct error *e);
    // Always, and last; not finished: what was written goes, as far as it can.
    void (*free)(struct tier_writer *writer);
};

// A copy that is open for reading. Any thread, several at once.
struct tier_reader {
    const struct tier_reader_ops *ops;
};
struct tier_reader_ops {
    // All `size` bytes from `offset` on, or an error.
    enum err (*read)(struct tier_reader *reader, uint64_t offset, void *bytes,
                     size_t size, struct error *e);
    void (*free)(struct tier_reader *reader);
    int (*fd)(struct tier_reader *reader); // for sendfile and pread; NULL: has none
};

#define TIER_READ_DIRECT 1u // past the page cache, so that the device is what answers
#define TIER_READ_AS_IT_IS 2u // what lies in an archive is not asked back
#define TIER_READ_ASIDE 4u // past the page cache where it can be, nothing dropped there

// The first member of each implementation's struct.
struct tier_store {
    const struct tier_ops *ops;
};
struct tier_ops {
    const char *kind;  // "directory", "s3"
    unsigned parallel; // reads at once that are worth while
    void (*free)(struct tier_store *store);

    // Whose it is (invariant 7). `is_empty`: nothing of anybody's lies there.
    enum err (*identity_read)(struct tier_store *store, struct tier_identity *identity,
                              bool *found, struct error *e);
    enum err (*identity_write)(struct tier_store *store,
                               const struct tier_identity *identity, struct error *e);
    enum err (*is_empty)(struct tier_store *store, bool *empty, struct error *e);
    // Makes what must be there before the first write; harmless when repeated.
    enum err (*prepare)(struct tier_store *store, struct error *e);

    // `bound`: the copy will not be larger than so many bytes.
    enum err (*writer_new)(struct tier_store *store, const struct tier_key *key,
                           uint64_t bound, struct tier_writer **writer,
                           struct error *e);
    enum err (*reader_new)(struct tier_store *store, const struct tier_key *key,
                           unsigned flags, struct tier_reader **reader,
                           struct error *e);
    // *found is false when it is not there; what cannot be told is an error.
    enum err (*stat)(struct tier_store *store, const struct tier_key *key, bool *found,
                     uint64_t *size, struct error *e);
    // The copy and whatever an unfinished write of it left; fine when it is not there.
    enum err (*remove)(struct tier_store *store, const struct tier_key *key,
                       struct error *e);
    // Moves what `each` found aside, to quarantine/, under a name never used before.
    enum err (*quarantine)(struct tier_store *store, const struct tier_found *found,
                           struct error *e);
    // Everything but the identity and what is in quarantine, in no order.
    enum err (*each)(struct tier_store *store, tier_visit_fn *visit, void *context,
                     struct error *e);
    // Unfinished writes begun before `before_us`: a bucket's stale multipart uploads.
    // NULL: there are none that `each` does not show.
    enum err (*sweep)(struct tier_store *store, int64_t before_us, uint64_t *swept,
                      struct error *e);
    enum err (*space)(struct tier_store *store, struct tier_space *space,
                      struct error *e);
};

// For CLEANUP(…); NULL is allowed.
void tier_writer_free_at(struct tier_writer **writer);
void tier_reader_free_at(struct tier_reader **reader);
