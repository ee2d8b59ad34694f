// SPDX-License-Identifier: Apache-2.0
#include "client/cli/origins.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/names.h"

// Makes a request's value of an option's text; NULL when it is not one.
typedef json_t *value_fn(const char *text);

static json_t *tag_value(const char *text)
{
    return json_string(text);
}

static json_t *metric_value(const char *text)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || (isinf(value) && errno == ERANGE))
        return NULL;
    if (isnan(value))
        return json_string("NaN");
    if (isinf(value))
        return json_string(value > 0 ? "Infinity" : "-Infinity");
    return json_real(value);
}

// A JSON scalar where it is one, otherwise text: 3, 2e-5, true, "3", bf16.
static json_t *param_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value) || json_is_boolean(value) || json_is_string(value))
        return value;
    json_decref(value);
    return json_string(text);
}

static enum strata_status read_pairs(const struct invocation *invocation,
                                     const char *option, const char *member,
                                     value_fn *make, json_t *origins,
                                     struct strata_error *e)
{
    AUTO_FREE const char **values = option_values(invocation, option);
    if (values[0] == NULL)
        return STRATA_OK;
    json_t *object = json_object();
    json_object_set_new(origins, member, object);
    for (size_t i = 0; values[i] != NULL; i++) {
        const char *equals = strchr(values[i], '=');
        if (equals == NULL || equals == values[i])
            return fail_set(e, STRATA_USAGE, "--%s %s: KEY=VALUE is needed", option,
                            values[i]);
        AUTO_FREE char *key = alloc_copy_n(values[i], (size_t)(equals - values[i]));
        json_t *value = make(equals + 1);
        if (value == NULL)
            return fail_set(e, STRATA_USAGE, "--%s %s: the value is not allowed",
                            option, values[i]);
        if (json_object_get(object, key) != NULL) {
            json_decref(value);
            return fail_set(e, STRATA_USAGE, "--%s %s is given twice", option, key);
        }
        if (json_object_set_new(object, key, value) != 0)
            return fail_set(e, STRATA_USAGE, "--%s %s is not UTF-8", option, values[i]);
    }
    return STRATA_OK;
}

// The relation stands after the last colon; what is no ref of ours is a URI.
static enum strata_status read_parents(const struct invocation *invocation,
                                       json_t *origins, struct strata_error *e)
{
    AUTO_FREE const char **values = option_values(invocation, "parent");
    if (values[0] == NULL)
        return STRATA_OK;
    json_t *parents = json_array();
    json_object_set_new(origins, "parents", parents);
    for (size_t i = 0; values[i] != NULL; i++) {
        const char *colon = strrchr(values[i], ':');
        if (colon == NULL || colon == values[i] || colon[1] == '\0')
            return fail_set(e, STRATA_USAGE, "--parent %s: REF:RELATION is needed",
                            values[i]);
        AUTO_FREE char *name = alloc_copy_n(values[i], (size_t)(colon - values[i]));
        struct ref ref;
        bool inside = ref_parse(name, "parent", &ref, NULL) == ERR_NONE;
        if (!inside && strchr(name, ':') == NULL)
            return fail_set(e, STRATA_USAGE,
                            "--parent %s: %s is neither a ref nor a URI", values[i],
                            name);
        json_array_append_new(parents, json_pack("{s:s, s:s}", inside ? "ref" : "uri",
                                                 name, "relation", colon + 1));
    }
    return STRATA_OK;
}

static void read_datasets(const struct invocation *invocation, json_t *origins)
{
    AUTO_FREE const char **values = option_values(invocation, "dataset");
    if (values[0] == NULL)
        return;
    json_t *datasets = json_array();
    json_object_set_new(origins, "datasets", datasets);
    for (size_t i = 0; values[i] != NULL; i++)
        json_array_append_new(datasets, json_pack("{s:s}", "uri", values[i]));
}

static void read_aliases(const struct invocation *invocation, json_t *origins)
{
    AUTO_FREE const char **values = option_values(invocation, "alias");
    if (values[0] == NULL)
        return;
    json_t *aliases = json_array();
    json_object_set_new(origins, "aliases", aliases);
    for (size_t i = 0; values[i] != NULL; i++)
        json_array_append_new(aliases, json_string(values[i]));
}

// An object of the members whose options are given.
static void read_object(const struct invocation *invocation, json_t *origins,
                        const char *member, const char *const (*options)[2],
                        size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *value = option_value(invocation, options[i][0]);
        if (value != NULL)
            json_object_set_new(object, options[i][1], json_string(value));
    }
    if (json_object_size(object) > 0)
        json_object_set(origins, member, object);
    json_decref(object);
}

// What is not UTF-8 can stand in no request, and must not be lost on the way to it.
static enum strata_status check_text(const struct invocation *invocation,
                                     struct strata_error *e)
{
    for (size_t i = 0; i < invocation->count; i++) {
        const struct option_value *option = &invocation->values[i];
        if (option->value != NULL && strcmp(option->name, "files") != 0 &&
            !utf8_is_valid(option->value, strlen(option->value)))
            return fail_set(e, STRATA_USAGE, "--%s %s is not UTF-8", option->name,
                            option->value);
    }
    return STRATA_OK;
}

enum strata_status origins_read(const struct invocation *invocation, json_t **result,
                                struct strata_error *e)
{
    static const char *const run[][2] = {{"run-id", "id"}, {"run-url", "url"}};
    static const char *const code[][2] = {{"commit", "commit"},
                                          {"repository", "repository"}};
    AUTO_JSON json_t *origins = json_object();
    enum strata_status status = check_text(invocation, e);
    if (status == STRATA_OK)
        status = read_parents(invocation, origins, e);
    if (status == STRATA_OK)
        status = read_pairs(invocation, "metric", "metrics", metric_value, origins, e);
    if (status == STRATA_OK)
        status = read_pairs(invocation, "param", "params", param_value, origins, e);
    if (status == STRATA_OK)
        status = read_pairs(invocation, "tag", "tags", tag_value, origins, e);
    if (status != STRATA_OK)
        return status;
    read_datasets(invocation, origins);
    read_aliases(invocation, origins);
    read_object(invocation, origins, "run", run, ARRAY_SIZE(run));
    read_object(invocation, origins, "code", code, ARRAY_SIZE(code));
    const char *description = option_value(invocation, "description");
    if (description != NULL)
        json_object_set_new(origins, "description", json_string(description));
    *result = steal_ptr(origins);
    return STRATA_OK;
}
