// SPDX-License-Identifier: Apache-2.0
#include "server/registry/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

void change_begin(struct change *change, const char *model)
{
    snprintf(change->model, sizeof change->model, "%s", model);
    change->ids_count = 0;
    change->selectors_count = 0;
}

void change_clear(struct change *change)
{
    free(change->ids);
    free(change->selectors);
    *change = (struct change){0};
}

void change_document(struct change *change, int64_t version_id)
{
    change->ids = alloc_grow(change->ids, change->ids_count + 1, sizeof *change->ids);
    change->ids[change->ids_count++] = version_id;
}

static void add_selector(struct change *change, const struct ref *selector)
{
    change->selectors = alloc_grow(change->selectors, change->selectors_count + 1,
                                   sizeof *change->selectors);
    change->selectors[change->selectors_count++] = *selector;
}

void change_version(struct change *change, const struct version_key *key)
{
    change_document(change, key->id);
    add_selector(change, &(struct ref){.kind = REF_NUMBER, .number = key->number});
    add_selector(change, &(struct ref){.kind = REF_DIGEST, .digest = key->digest});
    add_selector(change, &(struct ref){.kind = REF_LATEST});
}

void change_alias(struct change *change, const char *alias)
{
    struct ref selector = {.kind = REF_ALIAS};
    snprintf(selector.alias, sizeof selector.alias, "%s", alias);
    add_selector(change, &selector);
}

enum err change_settle(struct change *change, struct registry *registry, enum err err)
{
    if (err != ERR_NONE && err != ERR_OUTCOME_UNKNOWN)
        return err;
    if (err == ERR_OUTCOME_UNKNOWN)
        registry_doubt(registry);
    for (size_t i = 0; i < change->ids_count; i++)
        registry_cache_drop(registry, CACHE_DOCUMENTS, &change->ids[i],
                            sizeof change->ids[i]);
    for (size_t i = 0; i < change->selectors_count; i++) {
        char text[SELECTOR_SIZE];
        selector_format(change->model, &change->selectors[i], text);
        registry_cache_drop(registry, CACHE_REFS, text, strlen(text));
    }
    return err;
}
