// SPDX-License-Identifier: Apache-2.0
// Which copy of a blob is read, for the files of storage/ alone; blob_open stands in
// storage/blob.h.
#pragma once

#include "storage/blob_source.h"
#include "storage/placement.h"

// True when some copy can be read. False: the blob is not here, or all of its copies
// are lost, so that it is to be sent. What cannot be told now is an error.
enum err blob_is_readable(struct storage *storage, const struct digest *digest,
                          bool *readable, struct error *e) MUST_CHECK;

// A copy has come, has gone or has been found bad: who asks next looks at the rows.
void blob_copies_changed(struct storage *storage, const struct digest *digest);
