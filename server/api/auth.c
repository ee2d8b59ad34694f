// SPDX-License-Identifier: Apache-2.0
#include "server/api/auth.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/cache.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "server/api/token_text.h"
#include "server/registry/token.h"

#define CACHED_TOKENS 8192
#define CACHED_FOR_MS (5 * 60 * 1000)
#define SCHEME "Bearer "

struct auth {
    struct db_pool *pool;
    struct metrics *metrics;
    struct cache *cache;               // token id -> struct token
    atomic_int_fast64_t contact_ms;    // when auth_refresh last reached PostgreSQL
    int64_t since_us;                  // auth_refresh's alone
};

struct auth *auth_new(struct db_pool *pool, struct metrics *metrics)
{
    struct auth *auth = alloc_zero(sizeof *auth);
    auth->pool = pool;
    auth->metrics = metrics;
    struct cache_options options = {.entries = CACHED_TOKENS, .free_value = free};
    auth->cache = cache_new(&options);
    auth->contact_ms = clock_monotonic_ms();
    return auth;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    cache_free(auth->cache);
    free(auth);
}

// One answer for every reason: it tells nothing about which tokens exist.
static enum err refuse(struct auth *auth, struct error *e)
{
    metrics_add(auth->metrics, METRIC_TOKEN_REFUSALS, 1);
    return error_set(e, ERR_UNAUTHENTICATED,
                     "the request needs `Authorization: Bearer <token>` with a token "
                     "that is known, neither expired nor revoked");
}

static const char *bearer_token(const char *authorization)
{
    size_t length = strlen(SCHEME);
    if (authorization == NULL || strncasecmp(authorization, SCHEME, length) != 0)
        return NULL;
    authorization += length;
    return authorization + strspn(authorization, " ");
}

static bool cache_holds(const struct auth *auth)
{
    return clock_monotonic_ms() - atomic_load(&auth->contact_ms) < CACHED_FOR_MS;
}

// *entry stays NULL when there is no such token.
static enum err find_token(struct auth *auth, const char *id,
                           struct cache_entry **entry, struct error *e)
{
    if (cache_holds(auth))
        *entry = cache_get(auth->cache, id, TOKEN_ID_LENGTH);
    if (*entry != NULL) {
        metrics_add(auth->metrics, METRIC_TOKEN_CACHE_HITS, 1);
        return ERR_NONE;
    }
    metrics_add(auth->metrics, METRIC_TOKEN_CACHE_MISSES, 1);
    uint64_t generation = cache_generation(auth->cache);
    AUTO_FREE struct token *token = alloc_zero(sizeof *token);
    enum err err = token_find(auth->pool, id, token, e);
    if (err == ERR_TOKEN_NOT_FOUND) {
        error_clear(e);
        return ERR_NONE;
    }
    if (err != ERR_NONE)
        return err;
    *entry = cache_put(auth->cache, id, TOKEN_ID_LENGTH, steal_ptr(token),
                       sizeof *token, generation);
    return ERR_NONE;
}

static bool is_live(const struct token *token)
{
    return token->revoked_us == 0 &&
           (token->expires_us == 0 || token->expires_us > clock_wall_us());
}

enum err auth_identify(struct auth *auth, const char *authorization,
                       struct identity *who, struct error *e)
{
    static const struct token nobody; // its secret is compared where there is no token
    char id[TOKEN_ID_LENGTH + 1];
    struct digest secret;
    const char *text = bearer_token(authorization);
    if (text == NULL || !token_text_parse(text, id, &secret))
        return refuse(auth, e);
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    enum err err = find_token(auth, id, &entry, e);
    if (err != ERR_NONE)
        return err;
    const struct token *token = entry != NULL ? cache_value(entry) : &nobody;
    bool same = CRYPTO_memcmp(token->secret.bytes, secret.bytes, DIGEST_SIZE) == 0;
    if (entry == NULL || !same || !is_live(token))
        return refuse(auth, e);
    *who = (struct identity){.principal_id = token->principal_id,
                             .token_expires_us = token->expires_us};
    snprintf(who->principal, sizeof who->principal, "%s", token->principal);
    snprintf(who->kind, sizeof who->kind, "%s", token->kind);
    snprintf(who->token_id, sizeof who->token_id, "%s", token->id);
    if (!role_parse(token->role, &who->role))
        return error_set(e, ERR_INTERNAL, "token %s has no role", token->id);
    return ERR_NONE;
}

void auth_forget(struct auth *auth, const char *token_id)
{
    cache_drop(auth->cache, token_id, strlen(token_id));
}

static void forget(const char *id, void *context)
{
    auth_forget(context, id);
}

enum err auth_refresh(struct auth *auth, struct error *e)
{
    int64_t began_ms = clock_monotonic_ms();
    enum err err = token_revoked_since(auth->pool, &auth->since_us, forget, auth, e);
    if (err == ERR_NONE)
        atomic_store(&auth->contact_ms, began_ms);
    return err;
}
