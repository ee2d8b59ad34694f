// SPDX-License-Identifier: Apache-2.0
// The tier store of a directory (storage/tier_store.h), on top of storage/tier_file.h,
// which uploads and the repair go on using. Large copies are written past the page
// cache, which on virtual machines costs more than the disk does.
#pragma once

#include "storage/tier_file.h"
#include "storage/tier_store.h"

// Opens the root, made if it is not there: whether that is a mount gone missing is what
// the identity tells (tier_identity_judge). Writes nothing below it.
enum err tier_directory_new(const char *root, struct tier_store **store,
                            struct error *e) MUST_CHECK;
// What is below the store; it lives as long. Assert: the store is a directory.
struct tier_file *tier_directory_file(struct tier_store *store);
