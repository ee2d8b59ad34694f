// SPDX-License-Identifier: Apache-2.0
// The chunks of a version's files as work for several threads: those on disk are read
// and checked, those missing are fetched. Pull, verify against the server and verify of
// a folder are three ways through the same steps; work_files.c has what differs.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "client/lib/destination.h"
#include "client/lib/strata_transfer.h"
#include "client/lib/version.h"

enum work_mode { WORK_PULL, WORK_VERIFY_SERVER, WORK_VERIFY_FOLDER };

enum item_phase { ITEM_NEW, ITEM_PREPARING, ITEM_RUNNING, ITEM_FINISHING, ITEM_DONE };

enum chunk_state { CHUNK_MISSING, CHUNK_UNCHECKED, CHUNK_BUSY, CHUNK_DONE };

struct item {
    const struct version_file *file;
    struct item *same; // the item before it with the same blob, or NULL
    enum item_phase phase;
    struct chain chain;
    int fd;             // -1 where nothing is on disk
    int direct_fd;      // the same file for writes past the page cache, or -1
    bool existing;      // fd is the file under its final name
    bool no_existing;   // it was there and is not what is wanted
    bool bad;           // a chunk is wrong: no further one is begun
    char problem[1024]; // why, for verify
    uint8_t *chunks;    // enum chunk_state
    size_t busy;        // chunks
    size_t done;
    size_t cursor; // no chunk before it waits
};

struct work {
    struct strata_client *client;
    enum work_mode mode;
    struct destination *to; // NULL for WORK_VERIFY_SERVER
    const struct strata_watch *watch;
    struct item *items;
    size_t count;

    pthread_mutex_t mutex; // of all below, and of the items' phases and chunks
    pthread_cond_t changed;
    size_t next;   // no item before it is new
    size_t first;  // all items before it are done
    size_t end;    // no item from it on was begun
    size_t active; // items prepared and not done
    size_t done;
    struct strata_progress progress;
    uint64_t kept; // bytes of files that were there already
    enum strata_status status;
    struct strata_error error;
    atomic_bool cancel;
};

// Items for the version's files that `wanted` lets through (NULL = all).
void work_init(struct work *work, struct strata_client *client, enum work_mode mode,
               const struct version *version, struct destination *to,
               bool (*wanted)(void *context, const char *path), void *context,
               const struct strata_watch *watch);
void work_clear(struct work *work);
// Runs it all on the client's number of threads. What verify finds is in the items'
// `bad` and `problem`.
enum strata_status work_run(struct work *work, struct strata_error *e);

// In work_files.c, called without the mutex.
// Opens what there is of an item; *verdict is the phase that follows: ITEM_RUNNING or
// ITEM_DONE.
enum strata_status work_item_prepare(struct work *work, struct item *item,
                                     enum item_phase *verdict, struct strata_error *e);
// All chunks are right: makes it so under the final name.
enum strata_status work_item_finish(struct work *work, struct item *item,
                                    struct strata_error *e);
