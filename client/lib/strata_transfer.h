// SPDX-License-Identifier: Apache-2.0
// libstrata's transfers: upload, publish, pull, read and verify, and the list of what
// tensors there are to read. All transfers run over several connections, retry what the
// network loses, and check every chunk of 4 MiB that comes. What was interrupted, by
// kill -9 too, goes on where it was.
#pragma once

#include <strata.h>

#ifdef __cplusplus
extern "C" {
#endif

// Counts of a transfer so far, in bytes unless said otherwise. They may be read in the
// callback only.
struct strata_progress {
    uint64_t total;   // of all files
    uint64_t checked; // hashed (publish, upload) or verified on the local disk (pull)
    uint64_t moved;   // sent or received
    uint64_t present; // need not be moved: the other side had them
    size_t files;     // how many there are
    size_t files_done;
};

// Called from the transfer's threads, one at a time, many times a second.
typedef void strata_progress_fn(void *context, const struct strata_progress *progress);

struct strata_watch {
    strata_progress_fn *progress; // NULL = none
    void *context;
};

// Brings a file's bytes to the server, for a publish to come. `json` is
// {"path","sha256","size","sent"}: bytes sent, 0 when all was there. `tier` says where
// they are written, NULL = hot; what is there already stays where it is.
enum strata_status strata_upload(struct strata_client *client, const char *path,
                                 const char *tier, const struct strata_watch *watch,
                                 char **json, struct strata_error *e);

struct strata_publish {
    const char *folder; // a folder, or a single file; NULL with `list`
    const char *list;   // instead: a file of lines "<sha256>  <path>", uploaded before
    const char *model;  // ns/name
    const char *tier;   // where bytes that are sent are written; NULL = hot
    // What else the version has, a JSON object with members of PublishRequest in
    // docs/openapi.yaml (parents, datasets, run, code, params, metrics, tags,
    // description, aliases); NULL = none. What run and code lack is taken from the
    // variables of a CI run (GitHub, GitLab, Jenkins, Buildkite).
    const char *origins;
    // NULL: in a CI run made of the request and the run, otherwise random and kept
    // until the server has answered, so that a killed publish repeated is one version.
    const char *idempotency_key;
    bool dry_run; // hash and ask nothing, send nothing
};

// Publishes a version: sends what the server does not have, then makes the version.
// `json` is the version with one more member, "transfer": {"total","sent","present"} in
// bytes; in a dry run {"dry_run","model","request","transfer"} with the request that
// would be made. Patterns in the folder's .strataignore are honoured. STRATA_LOCAL when
// a file changes meanwhile or a symbolic link leaves the folder.
enum strata_status strata_publish(struct strata_client *client,
                                  const struct strata_publish *publish,
                                  const struct strata_watch *watch, char **json,
                                  struct strata_error *e);

struct strata_pull {
    const char *ref;
    const char *folder;         // made when it is missing
    const char *const *include; // patterns, NULL-terminated; NULL = everything
    const char *const *exclude; // patterns, NULL-terminated; NULL = nothing
};

// Brings a version's files into a folder, each under its final name only when it is
// whole, verified and on disk. Files that are there already are verified and kept.
// `json` is {"model","version","digest","folder","files","total","received","kept"}.
enum strata_status strata_pull(struct strata_client *client,
                               const struct strata_pull *pull,
                               const struct strata_watch *watch, char **json,
                               struct strata_error *e);

// Reads every chunk of a version from the server and checks it; with `folder` checks
// the files there instead. `json` is {"model","version","digest","files","total","bad":
// [{"path","problem"}]}; STRATA_CORRUPT, with `json` all the same, when something is
// bad.
enum strata_status strata_verify(struct strata_client *client, const char *ref,
                                 const char *folder, const struct strata_watch *watch,
                                 char **json, struct strata_error *e);

// Takes consecutive verified bytes; anything but STRATA_OK ends the reading and is what
// it returns.
typedef enum strata_status strata_read_fn(void *context, const void *bytes, size_t size,
                                          struct strata_error *e);

// Reads `length` bytes from `offset` on of a file of a version; a length beyond the end
// is cut to it. A negative offset counts from the end. STRATA_USAGE when the offset
// lies behind the end.
enum strata_status strata_read(struct strata_client *client, const char *ref,
                               const char *path, int64_t offset, uint64_t length,
                               strata_read_fn *take, void *context,
                               struct strata_error *e);

// A page of the tensors in a version's safetensors files, as the lists of strata.h.
enum strata_status strata_tensor_list(struct strata_client *client, const char *ref,
                                      const char *page_token, int limit, char **json,
                                      struct strata_error *e);

// As strata_read, but of a tensor in a safetensors file: the offset counts from the
// tensor's first byte, and the length is cut to its end. STRATA_FAILED when the file's
// header is malformed.
enum strata_status strata_tensor_read(struct strata_client *client, const char *ref,
                                      const char *path, const char *tensor,
                                      int64_t offset, uint64_t length,
                                      strata_read_fn *take, void *context,
                                      struct strata_error *e);

#ifdef __cplusplus
}
#endif
