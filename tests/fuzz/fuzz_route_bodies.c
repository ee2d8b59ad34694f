// SPDX-License-Identifier: Apache-2.0
// The JSON body of every route. Input: the letter of a row of the table below, then the
// body. A JSON route that has no row makes the target fail: give it one, with a letter
// that is not taken, so that inputs that are kept still mean the same.
// Parser: common/fields.c
// Parser: server/api/origins.c
// Parser: server/api/publish_parse.c
// Parser: server/api/models.c: model_create_parse model_patch_parse
// Parser: server/api/versions.c: version_patch_parse version_yank_parse
// Parser: server/api/aliases.c: alias_put_parse
// Parser: server/api/tokens.c: token_create_parse read_kind read_role read_expiry
// Parser: server/api/uploads.c: upload_create_parse upload_complete_parse parse_tier
// Parser: server/api/uploads.c: parse_chain_with_parts
// Parser: server/api/evaluations.c: evaluation_parse
// Options: -max_len=1024
#include "common/cleanup.h"
#include "common/json_text.h"
#include "common/names.h"
#include "server/api/aliases.h"
#include "server/api/evaluations.h"
#include "server/api/gc.h"
#include "server/api/models.h"
#include "server/api/moves.h"
#include "server/api/pins.h"
#include "server/api/prefetch.h"
#include "server/api/publish_parse.h"
#include "server/api/scrub.h"
#include "server/api/tier_rules.h"
#include "server/api/tokens.h"
#include "server/api/uploads.h"
#include "server/api/versions.h"
#include "server/http/json_body.h"
#include "tests/fuzz/fuzz.h"

static void require_line(const char *text)
{
    REQUIRE(text == NULL || (*text != '\0' && strpbrk(text, "\t\n") == NULL));
}

static void require_dataset(const struct origin_dataset *dataset)
{
    struct digest digest;
    REQUIRE(dataset->uri != NULL);
    require_line(dataset->uri);
    require_line(dataset->name);
    REQUIRE(dataset->sha256 == NULL || digest_parse(dataset->sha256, &digest));
}

static void require_metrics(const json_t *metrics)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metrics, key, value)
    {
        REQUIRE(*key != '\0');
        REQUIRE(json_is_real(value) || json_is_string(value));
    }
}

static enum err token_create(const json_t *body, struct error *e)
{
    struct token token = {0};
    enum role role = ROLE_NONE;
    enum err err = token_create_parse(body, &token, &role, e);
    if (err != ERR_NONE)
        return err;
    REQUIRE(role > ROLE_NONE && role <= ROLE_ADMIN);
    REQUIRE(strcmp(token.role, role_name(role)) == 0);
    REQUIRE(token.principal[0] != '\0' && token.expires_us >= 0);
    REQUIRE(strcmp(token.kind, "person") == 0 || strcmp(token.kind, "service") == 0);
    return ERR_NONE;
}

static enum err upload_create(const json_t *body, struct error *e)
{
    struct upload_create_request parsed = {.request = {0}};
    enum err err = upload_create_parse(body, &parsed, e);
    if (err == ERR_NONE) {
        REQUIRE(parsed.request.size <= INT64_MAX);
        REQUIRE((parsed.request.digest != NULL) ==
                (json_object_get(body, "sha256") != NULL));
        const struct chain *chain = parsed.request.chain;
        REQUIRE((chain != NULL) == (json_object_get(body, "chain") != NULL));
        REQUIRE(chain == NULL || (chain->size == parsed.request.size &&
                                  chain->count == chain_count(chain->size)));
    }
    chain_clear(&parsed.chain);
    return err;
}

static enum err model_create(const json_t *body, struct error *e)
{
    struct model_create_request parsed;
    enum err err = model_create_parse(body, &parsed, e);
    REQUIRE(err != ERR_NONE ||
            (strlen(parsed.model) < MODEL_SIZE && strchr(parsed.model, '/') != NULL));
    REQUIRE(err != ERR_NONE || parsed.description != NULL);
    return err;
}

static enum err model_patch(const json_t *body, struct error *e)
{
    const char *description = NULL;
    enum err err = model_patch_parse(body, &description, e);
    REQUIRE(err != ERR_NONE ||
            (description != NULL) == (json_object_get(body, "description") != NULL));
    return err;
}

static void require_files(const struct publish *publish)
{
    struct error e = {0};
    REQUIRE(publish->files_count > 0);
    for (size_t i = 0; i < publish->files_count; i++) {
        const char *path = publish->files[i].path;
        size_t size = strlen(path);
        REQUIRE(path_check(path, "path", &e) == ERR_NONE);
        REQUIRE(i == 0 || strcmp(publish->files[i - 1].path, path) < 0);
        for (size_t k = 0; k < publish->files_count; k++) {
            const char *other = publish->files[k].path;
            REQUIRE(strncmp(path, other, size) != 0 || other[size] != '/');
        }
    }
}

static void require_origins(const struct origins *origins)
{
    for (size_t i = 0; i < origins->parents_count; i++) {
        const struct origin_parent *parent = &origins->parents[i];
        REQUIRE(parent->relation != NULL);
        REQUIRE((parent->uri == NULL) == name_is_valid(parent->ref.name));
    }
    for (size_t i = 0; i < origins->datasets_count; i++)
        require_dataset(&origins->datasets[i]);
    REQUIRE(origins->run == NULL || origins->run->id != NULL);
    REQUIRE(origins->code == NULL ||
            (origins->code->repository != NULL && origins->code->commit != NULL));
    require_metrics(origins->metrics);
}

static enum err version_publish_body(const json_t *body, struct error *e)
{
    CLEANUP(publish_request_clear) struct publish_request parsed;
    enum err err = publish_parse(body, &parsed, e);
    if (err != ERR_NONE)
        return err;
    require_files(&parsed.publish);
    require_origins(&parsed.publish.origins);
    for (size_t i = 0; i < parsed.publish.aliases_count; i++)
        REQUIRE(alias_is_valid(parsed.publish.aliases[i]));
    REQUIRE(parsed.publish.description != NULL);
    require_line(parsed.publish.idempotency_key);
    return ERR_NONE;
}

static enum err version_patch_body(const json_t *body, struct error *e)
{
    struct version_patch patch;
    enum err err = version_patch_parse(body, &patch, e);
    REQUIRE(err != ERR_NONE || patch.set_description == (patch.description != NULL));
    REQUIRE(err != ERR_NONE || !patch.clear_tags || patch.tags == NULL);
    return err;
}

static enum err version_yank_body(const json_t *body, struct error *e)
{
    const char *message = NULL;
    enum err err = version_yank_parse(body, &message, e);
    REQUIRE(err != ERR_NONE || message[0] != '\0');
    return err;
}

static enum err evaluation_create(const json_t *body, struct error *e)
{
    struct evaluation_request parsed = {0};
    enum err err = evaluation_parse(body, &parsed, e);
    if (err == ERR_NONE) {
        REQUIRE(json_object_size(parsed.evaluation.metrics) > 0);
        require_metrics(parsed.evaluation.metrics);
        if (parsed.evaluation.dataset != NULL)
            require_dataset(parsed.evaluation.dataset);
    }
    json_decref(parsed.metrics);
    return err;
}

static enum err alias_put(const json_t *body, struct error *e)
{
    int64_t version = 0;
    enum err err = alias_put_parse(body, &version, e);
    REQUIRE(err != ERR_NONE || version >= 1);
    return err;
}

static void require_tier(enum tier tier)
{
    REQUIRE(tier >= TIER_HOT && tier < TIER_COUNT);
}

static enum err move_create(const json_t *body, struct error *e)
{
    enum tier tier = TIER_HOT;
    enum err err = move_create_parse(body, &tier, e);
    require_tier(tier);
    return err;
}

static enum err pin_create_body(const json_t *body, struct error *e)
{
    struct pin_body pin = {0};
    enum err err = pin_create_parse(body, &pin, e);
    require_tier(pin.tier);
    REQUIRE(err != ERR_NONE || pin.until_us >= 0);
    return err;
}

static enum err prefetch_body(const json_t *body, struct error *e)
{
    struct prefetch_body parsed = {0};
    enum err err = prefetch_parse(body, &parsed, e);
    require_tier(parsed.tier);
    REQUIRE(err != ERR_NONE || parsed.files == NULL || json_is_array(parsed.files));
    return err;
}

static enum err gc_run(const json_t *body, struct error *e)
{
    struct gc_run_request run;
    return gc_run_parse(body, &run, e);
}

static enum err scrub_start(const json_t *body, struct error *e)
{
    struct scrub_body asked;
    return scrub_start_parse(body, &asked, e);
}

#define MODEL "/api/v1/models/{ns}/{name}"
#define VERSION MODEL "/versions/{ref}"

static const struct row {
    char letter;
    const char *method;
    const char *pattern;
    enum err (*parse)(const json_t *body, struct error *e);
} rows[] = {
    {'t', "POST", "/api/v1/tokens", token_create},
    {'u', "POST", "/api/v1/uploads", upload_create},
    {'c', "POST", "/api/v1/uploads/{id}/complete", upload_complete_parse},
    {'o', "POST", "/api/v1/blobs/{sha256}/move", move_create},
    {'n', "POST", "/api/v1/pins", pin_create_body},
    {'f', "POST", "/api/v1/prefetch", prefetch_body},
    {'r', "PUT", "/api/v1/tier-rules", tier_rules_put_parse},
    {'g', "POST", "/api/v1/gc", gc_run},
    {'b', "POST", "/api/v1/scrub", scrub_start},
    {'m', "POST", "/api/v1/models", model_create},
    {'M', "PATCH", MODEL, model_patch},
    {'p', "POST", MODEL "/versions", version_publish_body},
    {'P', "PATCH", VERSION, version_patch_body},
    {'y', "POST", VERSION "/yank", version_yank_body},
    {'e', "POST", VERSION "/evaluations", evaluation_create},
    {'a', "PUT", MODEL "/aliases/{alias}", alias_put},
};

static bool is_json(const struct route *route)
{
    return route->body == BODY_JSON || route->body == BODY_JSON_OPTIONAL;
}

static size_t rows_of(const struct route *route)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        count += strcmp(rows[i].method, route->method) == 0 &&
                 strcmp(rows[i].pattern, route->pattern) == 0;
    return count;
}

// Every JSON route has its row, and every row its route.
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    size_t found = 0;
    REQUIRE(upload_complete_parse(NULL, NULL) == ERR_NONE); // it may be absent
    for (size_t i = 0; i < routes_count; i++) {
        if (!is_json(&routes[i]))
            continue;
        if (rows_of(&routes[i]) != 1)
            fprintf(stderr, "%s %s\n", routes[i].method, routes[i].pattern);
        REQUIRE(rows_of(&routes[i]) == 1);
        found++;
    }
    REQUIRE(found == ARRAY_SIZE(rows));
    return 0;
}

static const struct row *find_row(uint8_t letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].letter == (char)letter)
            return &rows[i];
    }
    return &rows[letter % ARRAY_SIZE(rows)];
}

// A refusal can be told: as problem+json, with the field where there is one.
static void check_refusal(const struct error *e)
{
    struct response response;
    response_init(&response);
    response_problem(&response, e, "1");
    AUTO_JSON json_t *problem =
        json_loadb(response.text, response.text_size, JSON_REJECT_DUPLICATES, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    REQUIRE(detail != NULL && *detail != '\0');
    REQUIRE((e->field[0] != '\0') == (json_object_get(problem, "field") != NULL));
    REQUIRE(response.status >= 400 && response.status < 500);
    response_clear(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length == 0)
        return 0;
    const struct row *row = find_row(data[0]);
    AUTO_JSON json_t *body = NULL;
    CLEANUP(error_clear) struct error e = {0};
    if (json_body_parse((const char *)data + 1, length - 1, &body, &e) != ERR_NONE)
        return 0;
    enum err err = row->parse(body, &e);
    REQUIRE(err == e.code);
    if (err != ERR_NONE) {
        check_refusal(&e);
        return 0;
    }
    // Nothing is taken that is not known, and taking it changes nothing.
    json_object_set_new(body, "\x01", json_null());
    REQUIRE(row->parse(body, &e) == ERR_UNKNOWN_FIELD);
    json_object_del(body, "\x01");
    error_clear(&e);
    REQUIRE(row->parse(body, &e) == ERR_NONE);
    return 0;
}
