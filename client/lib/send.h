// SPDX-License-Identifier: Apache-2.0
// Brings local files to the server: one thread hashes while others send, large files
// part by part over several connections, each upload resumed where it was. A file that
// nobody has hashed yet and that nothing on the server begins like is sent while it is
// hashed. send.c shares the work out, send_upload.c talks to the server about one file,
// send_part.c about one part of it.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "client/lib/client.h"
#include "client/lib/source.h"
#include "client/lib/strata_transfer.h"

enum send_phase {
    SEND_NEW,
    SEND_HASHING,
    SEND_HASHED,
    SEND_STARTING, // asking the server what it has
    SEND_RUNNING,  // parts are under way
    SEND_COMPLETING,
    SEND_DONE,
};

// Whether parts are sent before the whole file is hashed.
enum send_stream {
    STREAM_NO,
    STREAM_WISHED, // some thread shall ask the server
    STREAM_ASKING,
    STREAM_YES,
};

enum part_state { PART_MISSING, PART_BUSY, PART_DONE };

struct send_item {
    struct source *source;
    enum send_phase phase;
    enum send_stream stream;
    bool hashed; // the source is, and that is seen with the mutex held
    // The values of the chain that are known so far; room for all, or NULL.
    uint8_t (*states)[CHAIN_STATE_SIZE];
    size_t states_count;
    bool same;               // an earlier item brings the same blob
    int fd;                  // while parts are under way, -1 otherwise
    struct state_note *note; // of the upload's id; NULL when it is not kept
    char upload[64];         // the upload's id, "" when there is none
    bool chain_with_parts;   // the upload's parts bring the chain
    uint64_t part_size;
    size_t part_count;
    uint8_t *parts; // enum part_state
    size_t cursor;  // no part before it is missing
    size_t busy;
    bool restart; // the upload is of no use any more
    unsigned restarts;
    unsigned completes;
};

struct send {
    struct strata_client *client;
    const struct strata_watch *watch;
    bool dry_run;     // hash only
    const char *tier; // where the bytes go, NULL: the server's choice
    struct send_item *items;
    size_t count;

    pthread_mutex_t mutex; // of all below and of the items' phases and parts
    pthread_cond_t changed;
    size_t hash_next; // no item before it is new
    size_t first;     // all items before it are done
    size_t done;
    struct strata_progress progress;
    enum strata_status status;
    struct strata_error error;
    atomic_bool cancel;
};

void send_init(struct send *send, struct strata_client *client, struct source *sources,
               size_t count, const struct strata_watch *watch);
void send_clear(struct send *send);
// Hashes what is not hashed and sends what the server does not have.
enum strata_status send_run(struct send *send, struct strata_error *e);

// For send_upload.c.
void send_count(struct send *send, uint64_t moved, uint64_t present);

// In send_upload.c, called without the mutex. Asks what the server has; *here is true
// when nothing (more) is to be sent, otherwise the item has its upload and parts.
enum strata_status send_item_start(struct send *send, struct send_item *item,
                                   bool *here, struct strata_error *e);
// The same for an item that is still being hashed, whose first value is known: *made is
// false when it is to be hashed to its end first.
enum strata_status send_item_stream(struct send *send, struct send_item *item,
                                    bool *made, struct strata_error *e);
// In send_part.c, called without the mutex. Sends one part. Sets item->restart when the
// upload turned out to be lost.
enum strata_status send_item_part(struct send *send, struct send_item *item,
                                  size_t part, struct strata_error *e);
uint64_t send_part_size(const struct send_item *item, size_t part); // bytes
void send_set_restart(struct send *send, struct send_item *item);
// A file of at most SEND_SMALL bytes, in one request and without asking first.
#define SEND_SMALL ((off_t)1 << 20)
enum strata_status send_small(struct send *send, struct send_item *item,
                              struct strata_error *e);
// All parts are there: *whole is false when the server wants parts again.
enum strata_status send_item_complete(struct send *send, struct send_item *item,
                                      bool *whole, struct strata_error *e);
// Gives up what the item holds locally; `forget` its upload as well.
void send_item_close(struct send_item *item, bool forget);
