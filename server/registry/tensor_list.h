// SPDX-License-Identifier: Apache-2.0
// The tensors of a version: those of all its files whose path ends in `.safetensors`.
#pragma once

#include "common/buf.h"
#include "server/registry/content.h"
#include "server/registry/tensor_index.h"

// A place in the list: the file's among all of the version, the tensor's in the file.
struct tensor_cursor {
    uint64_t file;
    uint64_t tensor;
};

// Appends JSON objects, with commas between them, of at most `limit` tensors and
// malformed files to the two buffers; begins at *at and moves it on. *more says whether
// something may follow; a page also ends where much had to be read for it.
enum err tensor_list(struct tensor_indexes *indexes, const struct content *content,
                     uint64_t limit, struct tensor_cursor *at, bool *more,
                     struct buf *tensors, struct buf *unreadable,
                     struct error *e) MUST_CHECK;

struct tensor_place {
    const struct content_file *file; // the content's
    uint64_t offset;                 // from the file's first byte
    uint64_t length;                 // bytes
};

// The tensor `name` in the file `path`, or, with NULL, in the one file that has it.
// ERR_FILE_NOT_FOUND; ERR_TENSOR_NOT_FOUND; ERR_TENSOR_AMBIGUOUS lists the `files`;
// ERR_TENSORS_UNREADABLE when `path` is malformed; ERR_INVALID_FIELD when it is no
// safetensors file, or NULL and there are too many to look through.
enum err tensor_find(struct tensor_indexes *indexes, const struct content *content,
                     const char *path, const char *name, struct tensor_place *place,
                     struct error *e) MUST_CHECK;
