// SPDX-License-Identifier: Apache-2.0
// A tier that is a directory:
//
//     strata-tier.json          whose it is (storage/tier_identity.h)
//     incoming/<id>             a file that is being written
//     sha256/<ab>/<hex>.<id>    a blob, mode 0440
//     quarantine/               what nothing names
//
// <id> is a placement's number, never used twice, so that every placement has a file of
// its own (invariant 4). What makes or moves a name is durable when it returns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"

struct tier_file; // any thread

#define TIER_FILE_NAME_SIZE 112 // of a path below the root, with the NUL
#define TIER_FILE_INCOMING "incoming"
#define TIER_FILE_QUARANTINE "quarantine"

// What a path below the root names.
struct tier_file_name {
    int64_t id;
    bool is_final;        // sha256/…, otherwise incoming/…
    struct digest digest; // when final
};

void tier_file_name_incoming(int64_t id, char name[TIER_FILE_NAME_SIZE]);
void tier_file_name_final(const struct digest *digest, int64_t id,
                          char name[TIER_FILE_NAME_SIZE]);
// `folder` is "incoming" or "sha256/ab". False for what the two above never write.
bool tier_file_name_parse(const char *folder, const char *base,
                          struct tier_file_name *name);

// Opens the root, made if it is not there; writes nothing below it.
enum err tier_file_new(const char *root, struct tier_file **tier,
                       struct error *e) MUST_CHECK;
void tier_file_free(struct tier_file *tier);
// Descriptor of the root, for what works below it.
int tier_file_root(const struct tier_file *tier);
// True when nothing but a file system's lost+found is below the root.
enum err tier_file_is_empty(struct tier_file *tier, bool *empty,
                            struct error *e) MUST_CHECK;
// Makes the folders that are missing, durably.
enum err tier_file_prepare(struct tier_file *tier, struct error *e) MUST_CHECK;

// Makes incoming/<id> with `size` bytes of nothing; the descriptor reads and writes.
enum err tier_file_create(struct tier_file *tier, int64_t id, uint64_t size, int *fd,
                          struct error *e) MUST_CHECK;
// -1 and errno when it cannot be opened.
int tier_file_open_incoming(struct tier_file *tier, int64_t id, int flags);
int tier_file_open_final(struct tier_file *tier, const struct digest *digest,
                         int64_t id);
// False when it is missing or has another size; what cannot be told counts as there.
bool tier_file_has_final(struct tier_file *tier, const struct digest *digest,
                         int64_t id, uint64_t size);

// incoming/<id> becomes sha256/<ab>/<hex>.<id>; fine when it is there already. The
// caller has fsynced the file.
enum err tier_file_publish(struct tier_file *tier, const struct digest *digest,
                           int64_t id, struct error *e) MUST_CHECK;
// The way back, after a crash; writable again.
enum err tier_file_unpublish(struct tier_file *tier, const struct digest *digest,
                             int64_t id, struct error *e) MUST_CHECK;
// Removes incoming/<id>, and the final file when `digest` is not NULL; fine when they
// are not there.
enum err tier_file_remove(struct tier_file *tier, const struct digest *digest,
                          int64_t id, struct error *e) MUST_CHECK;
// Moves folder/base to quarantine/ under a name that was never used.
enum err tier_file_quarantine(struct tier_file *tier, const char *folder,
                              const char *base, struct error *e) MUST_CHECK;

// Calls `visit` for each entry of incoming/ and of sha256/*/, in no order.
typedef enum err (*tier_file_visit)(void *context, const char *folder, const char *base,
                                    struct error *e);
enum err tier_file_each(struct tier_file *tier, tier_file_visit visit, void *context,
                        struct error *e) MUST_CHECK;
