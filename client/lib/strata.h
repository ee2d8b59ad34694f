// SPDX-License-Identifier: Apache-2.0
// Public interface of libstrata, the client library of the Strata model registry: the
// connection, errors and the calls that move no bytes of models. Uploads, publishing,
// pulling and reading are in strata_transfer.h, tiers and moves in strata_tiers.h.
//
// Every call is blocking. Over TLS the program must ignore SIGPIPE. A client may be
// used by any number of threads at once, except that strata_client_free must be the
// last call. Text is UTF-8. Every `json` that a call gives back is one JSON document as
// docs/openapi.yaml describes it, NUL-terminated, to be freed with strata_free; it is
// NULL after an error.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Classes of errors. The command `strata` exits with these numbers.
enum strata_status {
    STRATA_OK = 0,
    STRATA_FAILED = 1,    // anything that is not below
    STRATA_USAGE = 2,     // an argument is not allowed
    STRATA_NOT_FOUND = 3, // no such model, version, alias, file or token
    STRATA_DENIED = 4,    // the token is missing, unknown, or not allowed to do this
    STRATA_CONFLICT = 5,  // the present state or a precondition forbids it
    STRATA_CORRUPT = 6,   // bytes do not match their digest
    STRATA_AWAY = 7,      // the server or the network did not answer
    STRATA_LOCAL = 8,     // reading or writing local files failed, disk full included
};

// Filled in by a call that fails. Nothing to free. NULL may be passed instead.
struct strata_error {
    enum strata_status status;
    int http_status;     // of the server's answer, 0 when the error is not the server's
    char type[64];       // the server's slug, as "model-not-found", or ""
    char title[128];     // the server's short text, or ""
    char detail[1024];   // what happened, never empty
    char field[128];     // the request's member at fault, or ""
    char request_id[64]; // to be found in the server's log, or ""
};

struct strata_client;

struct strata_options {
    const char *url;   // of the server, as "https://strata.example.org"
    const char *token; // NULL or "": none
    unsigned jobs;     // connections of a transfer; 0 = 4, at most 64
    int64_t
        retry_ms; // how long to go on while the server is away; 0 = 60 s, -1 = never
    // Where uploads and publishes under way and digests of local files are remembered;
    // NULL = $XDG_STATE_HOME/strata or ~/.local/state/strata. Nothing is remembered
    // when it cannot be written.
    const char *state_folder;
};

// The library's version, as "0.1.0"; never freed.
const char *strata_version(void);

// Makes a client; sends nothing. *client is to be freed with strata_client_free.
enum strata_status strata_client_new(const struct strata_options *options,
                                     struct strata_client **client,
                                     struct strata_error *e);
void strata_client_free(struct strata_client *client); // NULL is allowed
void strata_free(void *text);

// The caller's principal and token.
enum strata_status strata_whoami(struct strata_client *client, char **json,
                                 struct strata_error *e);

// A page of at most `limit` (1 to 1,000) models, or of versions of the model `ns/name`,
// newest first. `page_token` is NULL for the first page, then `next_page_token`.
enum strata_status strata_model_list(struct strata_client *client,
                                     const char *page_token, int limit, char **json,
                                     struct strata_error *e);
enum strata_status strata_version_list(struct strata_client *client, const char *model,
                                       const char *page_token, int limit, char **json,
                                       struct strata_error *e);

// The version that a ref names (`ns/name`, `ns/name@7`, `ns/name@prod`,
// `ns/name@sha256:<hex>`).
enum strata_status strata_version_get(struct strata_client *client, const char *ref,
                                      char **json, struct strata_error *e);
// Deletes it softly; the answer says until when it can be restored. STRATA_CONFLICT
// while aliases or children hang on it, unless `force`.
enum strata_status strata_version_delete(struct strata_client *client, const char *ref,
                                         bool force, char **json,
                                         struct strata_error *e);

// Points `alias` of the ref's model to the version that the ref names.
enum strata_status strata_alias_set(struct strata_client *client, const char *ref,
                                    const char *alias, char **json,
                                    struct strata_error *e);
enum strata_status strata_alias_delete(struct strata_client *client, const char *model,
                                       const char *alias, struct strata_error *e);
// A page of where the alias pointed, newest first.
enum strata_status strata_alias_history(struct strata_client *client, const char *model,
                                        const char *alias, const char *page_token,
                                        int limit, char **json, struct strata_error *e);

enum strata_status strata_token_list(struct strata_client *client,
                                     const char *page_token, int limit, char **json,
                                     struct strata_error *e);
// `expires_at` is RFC 3339, or NULL for never; `kind` is person or service,
// `description` and `kind` may be NULL. The secret is in the answer's member `token`,
// this once.
enum strata_status strata_token_create(struct strata_client *client,
                                       const char *principal, const char *kind,
                                       const char *role, const char *description,
                                       const char *expires_at, char **json,
                                       struct strata_error *e);
enum strata_status strata_token_revoke(struct strata_client *client, const char *id,
                                       struct strata_error *e);

#ifdef __cplusplus
}
#endif
