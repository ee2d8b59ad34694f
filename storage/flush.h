// SPDX-License-Identifier: Apache-2.0
// One fdatasync and one statement for all parts of an upload that end together.
#pragma once

#include "storage/state.h"
#include "storage/upload_table.h"

enum flush_outcome {
    FLUSH_DURABLE,
    FLUSH_UNKNOWN, // the bytes are durable, whether the row is committed is not known
    FLUSH_LOST,    // the sync failed: the upload is gone
};

// Waits until the bytes of part `number` and its row are durable, together with the
// parts that ask meanwhile. Any thread; the caller holds the upload and counts as busy.
enum err flush_part(struct storage *storage, struct upload *upload, uint64_t number,
                    enum flush_outcome *outcome, struct error *e) MUST_CHECK;
