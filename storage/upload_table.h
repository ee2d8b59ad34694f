// SPDX-License-Identifier: Apache-2.0
// The uploads that this process works on. There is at most one struct upload for an id,
// and everything that writes to its file goes through it: that is what makes fencing
// and shutting out writers sound.
#pragma once

#include <pthread.h>

#include "common/format/chain.h"
#include "storage/tier.h"
#include "storage/upload.h"

enum upload_state {
    UPLOAD_LOADING,    // its row is being read
    UPLOAD_OPEN,       // takes parts
    UPLOAD_COMPLETING, // a thread completes it
    UPLOAD_CLOSED,     // the row says completing, nobody works on it at the moment
    UPLOAD_DONE,
    UPLOAD_GONE, // removed, or there never was one; `failure` says why
};

enum part_state {
    PART_EMPTY,
    PART_SEALING, // every byte is written, the sync and the row are under way
    PART_WRITTEN, // durable bytes, but whether the row is committed is not known
    PART_DURABLE,
};

struct part_slot {
    uint32_t attempt; // the newest; older ones are fenced
    uint8_t state;    // enum part_state
    bool writing;     // some attempt is inside a pwrite
};

struct flush_batch;
struct upload_row;

struct upload {
    // Set by upload_load, constant afterwards.
    char id[UPLOAD_ID_SIZE];
    int64_t principal_id;
    int64_t placement_id;
    enum tier tier;
    uint64_t size;
    uint64_t part_size;
    uint64_t parts;
    int fd;        // -1 once done
    int direct_fd; // the same file for writes past the page cache, or -1
    bool resumable;
    bool verifies_parts;   // the client gives the chain
    bool chain_with_parts; // part by part
    int64_t generation;    // rows of parts are written under it

    pthread_mutex_t lock; // for what follows
    pthread_cond_t changed;
    enum upload_state state;
    unsigned busy; // pwrites and flushes under way
    struct part_slot *slots;
    bool has_digest;
    struct digest digest;
    struct chain chain;   // count 0 = not known yet
    uint8_t *chain_known; // with chain_with_parts: whether a value is there
    int64_t expires_us;
    struct error failure;

    // The follower's, or the completing thread's, while `hashing`.
    bool hashing, queued;
    struct upload *next_queued;
    struct chain_hasher *hasher;

    // flush.c
    struct flush_batch *gathering;
    bool flushing;

    // The table's.
    struct upload *next;
    unsigned references;
    int64_t idle_since_ms;
    bool listed;
};

struct upload_table *upload_table_new(void);
void upload_table_free(struct upload_table *table); // every upload must be let go

// The upload of this id, held. *is_new: the caller must fill it in, then call
// upload_settle, which lets the others who wait for it go on.
struct upload *upload_hold(struct upload_table *table, const char *id, bool *is_new);
// Another hold of one that the caller holds.
struct upload *upload_hold_again(struct upload_table *table, struct upload *upload);
void upload_release(struct upload_table *table, struct upload *upload);
// Sets its state and wakes all who wait. DONE and GONE also take it off the table.
void upload_settle(struct upload_table *table, struct upload *upload,
                   enum upload_state state);
// As upload_settle(…, UPLOAD_GONE), and later callers get this error.
void upload_fail(struct upload_table *table, struct upload *upload,
                 const struct error *why);
// Frees what has been idle for long; holds of others are not disturbed.
void upload_table_trim(struct upload_table *table, int64_t idle_ms);
