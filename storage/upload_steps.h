// SPDX-License-Identifier: Apache-2.0
// The steps of an upload's life on one that the caller holds: what PUT of a whole blob,
// the sweep and the calls of storage/upload.h share.
#pragma once

#include "storage/upload_row.h"

// Commits the row, then makes its file. ERR_INSUFFICIENT_STORAGE.
enum err upload_make_file(struct storage *storage, struct upload_row *row,
                          struct error *e) MUST_CHECK;

enum err part_writer_new_held(struct storage *storage, struct upload *upload,
                              uint64_t number, struct part_writer **writer,
                              struct error *e) MUST_CHECK;
// Writes what is left and checks that the body had its length and digest; the bytes are
// not durable yet.
enum err part_writer_end(struct part_writer *writer, struct error *e) MUST_CHECK;

enum err upload_complete_held(struct storage *storage, struct upload *upload,
                              struct blob *blob, bool *created,
                              struct error *e) MUST_CHECK;

// Removes what has not become a blob. ERR_UPLOAD_NOT_OPEN while it is completed.
enum err upload_remove_held(struct storage *storage, struct upload *upload,
                            struct error *e) MUST_CHECK;
// Removes the file of a finished upload whose blob has another one.
enum err upload_remove_copy(struct storage *storage, struct upload *upload,
                            struct error *e) MUST_CHECK;
