// SPDX-License-Identifier: Apache-2.0
#include "server/api/aliases.h"
#include "server/api/blobs.h"
#include "server/api/evaluations.h"
#include "server/api/gc.h"
#include "server/api/health.h"
#include "server/api/models.h"
#include "server/api/moves.h"
#include "server/api/pins.h"
#include "server/api/placements.h"
#include "server/api/prefetch.h"
#include "server/api/publish.h"
#include "server/api/route.h"
#include "server/api/scrub.h"
#include "server/api/tensors.h"
#include "server/api/tier_rules.h"
#include "server/api/tiers.h"
#include "server/api/tokens.h"
#include "server/api/uploads.h"
#include "server/api/version_files.h"
#include "server/api/versions.h"

#include "common/cleanup.h"

#define MIB ((size_t)1 << 20)
#define API "/api/v1"
#define ONE_MODEL API "/models/{ns}/{name}"
#define ONE_VERSION ONE_MODEL "/versions/{ref}"
#define ONE_ALIAS ONE_MODEL "/aliases/{alias}"
#define PAGE "limit page_token"

// clang-format off
#define READ(pattern, role, query, handler) \
    {"GET", pattern, role, BODY_NONE, 0, query, handler, NULL}
#define CALL(method, pattern, role, handler) \
    {method, pattern, role, BODY_NONE, 0, NULL, handler, NULL}
#define JSON(method, pattern, role, limit, handler) \
    {method, pattern, role, BODY_JSON, limit, NULL, handler, NULL}
#define STREAM(method, pattern, role, begin) \
    {method, pattern, role, BODY_STREAM, 0, NULL, NULL, begin}

const struct route routes[] = {
    READ("/healthz", ROLE_NONE, NULL, healthz_handler),
    READ("/readyz", ROLE_NONE, NULL, readyz_handler),
    READ("/metrics", ROLE_READER, NULL, metrics_handler),
    READ(API "/openapi.yaml", ROLE_NONE, NULL, openapi_handler),
    READ(API "/whoami", ROLE_READER, NULL, whoami_handler),
    READ(API "/tokens", ROLE_READER, PAGE, tokens_list_handler),
    JSON("POST", API "/tokens", ROLE_READER, 0, token_create_handler),
    CALL("DELETE", API "/tokens/{id}", ROLE_READER, token_revoke_handler),

    READ(API "/blobs/{sha256}", ROLE_READER, NULL, blob_get_handler),
    STREAM("PUT", API "/blobs/{sha256}", ROLE_PUBLISHER, blob_put_begin),
    READ(API "/blobs/{sha256}/chain", ROLE_READER, NULL, blob_chain_handler),
    READ(API "/blobs/{sha256}/placements", ROLE_READER, NULL, placements_handler),
    JSON("POST", API "/blobs/{sha256}/move", ROLE_MAINTAINER, 0, move_create_handler),
    JSON("POST", API "/uploads", ROLE_PUBLISHER, 24 * MIB, upload_create_handler),
    READ(API "/uploads/{id}", ROLE_PUBLISHER, NULL, upload_get_handler),
    CALL("DELETE", API "/uploads/{id}", ROLE_PUBLISHER, upload_delete_handler),
    STREAM("PUT", API "/uploads/{id}/parts/{n}", ROLE_PUBLISHER, upload_part_begin),
    {"POST", API "/uploads/{id}/complete", ROLE_PUBLISHER, BODY_JSON_OPTIONAL, 0, NULL,
     upload_complete_handler, NULL},

    READ(API "/tiers", ROLE_READER, NULL, tiers_handler),
    READ(API "/moves", ROLE_READER, "state sha256 " PAGE, moves_list_handler),
    READ(API "/moves/{id}", ROLE_READER, NULL, move_get_handler),
    CALL("DELETE", API "/moves/{id}", ROLE_MAINTAINER, move_cancel_handler),
    JSON("POST", API "/pins", ROLE_MAINTAINER, 0, pin_create_handler),
    READ(API "/pins", ROLE_READER, PAGE, pins_list_handler),
    CALL("DELETE", API "/pins/{id}", ROLE_MAINTAINER, pin_delete_handler),
    JSON("POST", API "/prefetch", ROLE_PUBLISHER, 16 * MIB, prefetch_handler),
    READ(API "/tier-rules", ROLE_READER, NULL, tier_rules_get_handler),
    {"PUT", API "/tier-rules", ROLE_MAINTAINER, BODY_JSON, MIB / 4, "dry_run",
     tier_rules_put_handler, NULL},
    READ(API "/tier-rules/history", ROLE_READER, PAGE, tier_rules_history_handler),

    READ(API "/gc", ROLE_READER, NULL, gc_get_handler),
    {"POST", API "/gc", ROLE_MAINTAINER, BODY_JSON_OPTIONAL, 0, NULL, gc_run_handler,
     NULL},

    READ(API "/scrub", ROLE_READER, NULL, scrub_get_handler),
    {"POST", API "/scrub", ROLE_MAINTAINER, BODY_JSON_OPTIONAL, 0, NULL,
     scrub_start_handler, NULL},

    READ(API "/models", ROLE_READER, PAGE, models_list_handler),
    JSON("POST", API "/models", ROLE_PUBLISHER, 0, model_create_handler),
    READ(ONE_MODEL, ROLE_READER, NULL, model_get_handler),
    JSON("PATCH", ONE_MODEL, ROLE_PUBLISHER, 0, model_patch_handler),
    CALL("DELETE", ONE_MODEL, ROLE_MAINTAINER, model_delete_handler),

    READ(ONE_MODEL "/versions", ROLE_READER, PAGE, versions_list_handler),
    JSON("POST", ONE_MODEL "/versions", ROLE_PUBLISHER, 32 * MIB,
         version_publish_handler),
    READ(ONE_VERSION, ROLE_READER, NULL, version_get_handler),
    JSON("PATCH", ONE_VERSION, ROLE_PUBLISHER, 4 * MIB, version_patch_handler),
    {"DELETE", ONE_VERSION, ROLE_MAINTAINER, BODY_NONE, 0, "force",
     version_delete_handler, NULL},
    READ(ONE_VERSION "/manifest", ROLE_READER, NULL, version_manifest_handler),
    CALL("POST", ONE_VERSION "/restore", ROLE_MAINTAINER, version_restore_handler),
    JSON("POST", ONE_VERSION "/yank", ROLE_MAINTAINER, 0, version_yank_handler),
    JSON("POST", ONE_VERSION "/evaluations", ROLE_PUBLISHER, 0,
         evaluation_create_handler),
    READ(ONE_VERSION "/files/{path+}", ROLE_READER, NULL, version_file_handler),
    READ(ONE_VERSION "/tensors", ROLE_READER, PAGE, tensors_list_handler),
    READ(ONE_VERSION "/tensors/{tensor+}", ROLE_READER, "file", tensor_get_handler),

    READ(ONE_MODEL "/aliases", ROLE_READER, PAGE, aliases_list_handler),
    READ(ONE_ALIAS, ROLE_READER, "at", alias_get_handler),
    JSON("PUT", ONE_ALIAS, ROLE_MAINTAINER, 0, alias_put_handler),
    CALL("DELETE", ONE_ALIAS, ROLE_MAINTAINER, alias_delete_handler),
    READ(ONE_ALIAS "/history", ROLE_READER, PAGE, alias_history_handler),
};
// clang-format on

const size_t routes_count = ARRAY_SIZE(routes);
