// SPDX-License-Identifier: Apache-2.0
// Principals and tokens as rows. The secret of a token never comes here, only its
// SHA-256. Roles are text here: what they mean is the layer's above. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/db.h"
#include "server/registry/registry.h"

#define PRINCIPAL_MAXIMUM 96        // bytes of a principal's name
#define TOKEN_DESCRIPTION_MAXIMUM 1024

struct token {
    char id[33];
    int64_t principal_id;
    char principal[PRINCIPAL_MAXIMUM + 1];
    char kind[16]; // `person` or `service`
    char role[16];
    struct digest secret;
    char description[TOKEN_DESCRIPTION_MAXIMUM + 1];
    int64_t created_us;
    int64_t expires_us; // 0 = never
    int64_t revoked_us; // 0 = it is not
};

// ERR_TOKEN_NOT_FOUND; a revoked or expired one is found.
enum err token_find(struct db_pool *pool, const char *id, struct token *token,
                    struct error *e) MUST_CHECK;

// Inserts id, role, secret, description and expires_us for the principal of that name,
// which is made (with `kind`) when it is missing; fills in the rest.
enum err token_insert(struct db_pool *pool, struct token *token,
                      const struct actor *actor, struct error *e) MUST_CHECK;

// In order of id, those after `after` (NULL = from the first), at most `limit`; of one
// principal, or of all when principal_id is 0. The caller frees *tokens.
enum err token_list(struct db_pool *pool, int64_t principal_id, const char *after,
                    int64_t limit, struct token **tokens, size_t *count,
                    struct error *e) MUST_CHECK;

// At once and for good; again is no error. With principal_id other than 0 only that
// principal's tokens exist. ERR_TOKEN_NOT_FOUND.
enum err token_revoke(struct db_pool *pool, const char *id, int64_t principal_id,
                      const struct actor *actor, struct error *e) MUST_CHECK;

// Calls `revoked` with the id of every token revoked since *since_us (of PostgreSQL's
// clock; 0 = none yet, calls nothing) and moves *since_us on, less an overlap for
// transactions under way: an id may come several times.
enum err token_revoked_since(struct db_pool *pool, int64_t *since_us,
                             void (*revoked)(const char *id, void *context),
                             void *context, struct error *e) MUST_CHECK;

// The first administrator's tokens (`bootstrap`): whether one was ever inserted.
enum err token_bootstrap_exists(struct db_pool *pool, bool *exists,
                                struct error *e) MUST_CHECK;
// Inserts `token` as such a one and revokes all earlier ones, in one transaction.
enum err token_bootstrap_replace(struct db_pool *pool, struct token *token,
                                 struct error *e) MUST_CHECK;
