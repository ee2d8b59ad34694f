// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_tiers.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/digest.h"

#define PAGE 1000
#define RULES_MAXIMUM ((size_t)1 << 20) // bytes of a file of rules

// ---- tiers ----------------------------------------------------------------------

static char *percent_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value)
               ? alloc_printf("%.1f %%", 100 * json_number_value(value))
               : alloc_copy("-");
}

static void print_tiers(const json_t *document)
{
    static const char *const titles[] = {"TIER", "STATE", "KIND",  "USED", "OF",
                                         "FREE", "BLOBS", "READS", "HITS"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(document, "tiers"), i, item)
    {
        table_add(&table, member_text(item, "tier"));
        table_add(&table, member_text(item, "state"));
        table_add(&table, member_text(item, "kind"));
        table_add(&table, member_size(item, "used_bytes"));
        table_add(&table, member_size(item, "capacity_bytes"));
        table_add(&table, member_size(item, "available_bytes"));
        table_add(&table, member_text(item, "blobs"));
        table_add(&table, member_text(item, "reads"));
        table_add(&table, percent_text(item, "hit_ratio"));
    }
    table_print(&table);
    json_array_foreach(json_object_get(document, "unsatisfied"), i, item)
    {
        AUTO_FREE char *rule = member_text(item, "rule");
        AUTO_FREE char *tier = member_text(item, "tier");
        AUTO_FREE char *missing = member_size(item, "missing_bytes");
        print_line("rule %s is not satisfied: %s has no room for %s of it", rule, tier,
                   missing);
    }
}

enum strata_status cmd_tiers(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_tier_list(client, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *document = json_loads(text, 0, NULL);
    print_tiers(document);
    return STRATA_OK;
}

// ---- placements -----------------------------------------------------------------

static enum strata_status find_file(struct strata_client *client, const char *ref,
                                    const char *path, char **sha256,
                                    struct strata_error *e)
{
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_version_get(client, ref, &text, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *version = json_loads(text, 0, NULL);
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(version, "files"), i, file)
    {
        AUTO_FREE char *name = member_text(file, "path");
        if (strcmp(name, path) == 0) {
            *sha256 = member_text(file, "sha256");
            return STRATA_OK;
        }
    }
    return fail_set(e, STRATA_NOT_FOUND, "%s has no file %s", ref, path);
}

static void print_placements(const json_t *document)
{
    static const char *const titles[] = {"TIER",     "STATE", "STORED",
                                         "ENCODING", "SINCE", "BY"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    AUTO_FREE char *sha256 = member_text(document, "sha256");
    AUTO_FREE char *size = member_size(document, "size");
    print_line("%s, %s", sha256, size);
    table_add_titles(&table, titles);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(document, "placements"), i, item)
    {
        bool damaged = json_is_true(json_object_get(item, "damaged"));
        AUTO_FREE char *state = member_text(item, "state");
        table_add(&table, member_text(item, "tier"));
        table_add(&table, alloc_printf("%s%s", state, damaged ? " (damaged)" : ""));
        table_add(&table, member_size(item, "stored_size"));
        table_add(&table, member_text(item, "encoding"));
        table_add(&table, member_text(item, "since"));
        table_add(&table, member_text(item, "rule"));
    }
    table_print(&table);
    const json_t *next = json_object_get(document, "next");
    AUTO_FREE char *tier = member_text(next, "tier");
    AUTO_FREE char *when = member_text(next, "when");
    AUTO_FREE char *why = member_text(next, "why");
    if (strcmp(when, "-") == 0)
        print_line("next: %s, %s", tier, why);
    else
        print_line("next: %s at %s, %s", tier, when, why);
}

enum strata_status cmd_placements(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *found = NULL;
    const char *sha256 = invocation->arguments[0];
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK && invocation->argument_count == 2) {
        status = find_file(client, sha256, invocation->arguments[1], &found, e);
        sha256 = found;
    }
    if (status == STRATA_OK)
        status = strata_placement_list(client, sha256, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *document = json_loads(text, 0, NULL);
    print_placements(document);
    return STRATA_OK;
}

// ---- pins -----------------------------------------------------------------------

static char *pinned_text(const json_t *pin)
{
    bool is_version = json_is_string(json_object_get(pin, "ref"));
    return member_text(pin, is_version ? "ref" : "sha256");
}

enum strata_status cmd_pin(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    const char *tier = NULL;
    enum strata_status status = option_tier(invocation, OPTION_REQUIRED, &tier, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_pin_create(client, invocation->arguments[0], tier,
                                   option_value(invocation, "until"), &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *pin = json_loads(text, 0, NULL);
    AUTO_FREE char *id = member_text(pin, "id");
    AUTO_FREE char *what = pinned_text(pin);
    AUTO_FREE char *until = member_text(pin, "until");
    AUTO_FREE char *bytes = member_size(pin, "bytes");
    print_line("pin %s keeps %s (%s) on %s%s%s", id, what, bytes, tier,
               strcmp(until, "-") == 0 ? "" : " until ",
               strcmp(until, "-") == 0 ? "" : until);
    return STRATA_OK;
}

static enum strata_status pins_page(struct strata_client *client, const void *context,
                                    const char *token, char **json,
                                    struct strata_error *e)
{
    (void)context;
    return strata_pin_list(client, token, PAGE, json, e);
}

enum strata_status cmd_pin_ls(struct invocation *invocation, struct strata_error *e)
{
    static const char *const titles[] = {"ID",    "TIER", "UNTIL", "SIZE",
                                         "BLOBS", "BY",   "WHAT"};
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, pins_page, NULL, "pins", &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_document(document, e);
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *pin;
    json_array_foreach(json_object_get(document, "pins"), i, pin)
    {
        table_add(&table, member_text(pin, "id"));
        table_add(&table, member_text(pin, "tier"));
        table_add(&table, member_text(pin, "until"));
        table_add(&table, member_size(pin, "bytes"));
        table_add(&table, member_text(pin, "blobs"));
        table_add(&table, member_text(pin, "created_by"));
        table_add(&table, pinned_text(pin));
    }
    table_print(&table);
    return STRATA_OK;
}

enum strata_status cmd_pin_rm(struct invocation *invocation, struct strata_error *e)
{
    const char *id = invocation->arguments[0];
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_pin_delete(client, id, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_JSON json_t *json = json_pack("{s:s, s:b}", "id", id, "removed", 1);
        return print_document(json, e);
    }
    print_line("pin %s is removed", id);
    return STRATA_OK;
}

// ---- rules ----------------------------------------------------------------------

// One rule a line: readable, and JSON that `tier-rules set` takes.
static void print_rules(const json_t *rules)
{
    size_t count = json_array_size(rules);
    puts(count > 0 ? "{\"rules\": [" : "{\"rules\": []}");
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *rule = json_dumps(json_array_get(rules, i), JSON_ENSURE_ASCII);
        printf("  %s%s\n", rule, i + 1 < count ? "," : "");
    }
    if (count > 0)
        puts("]}");
}

enum strata_status cmd_tier_rules_get(struct invocation *invocation,
                                      struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_tier_rules_get(client, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *document = json_loads(text, 0, NULL);
    print_rules(json_object_get(document, "rules"));
    return STRATA_OK;
}

static void close_file(FILE **file)
{
    if (*file != NULL && *file != stdin)
        fclose(*file);
}

static enum strata_status read_rules(const char *path, struct buf *rules,
                                     struct strata_error *e)
{
    bool input = strcmp(path, "-") == 0;
    CLEANUP(close_file) FILE *file = input ? stdin : fopen(path, "re");
    char piece[4096];
    size_t got;
    if (file == NULL)
        return fail_errno(e, errno, "%s", path);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0) {
        buf_append(rules, piece, got);
        if (rules->size > RULES_MAXIMUM)
            return fail_set(e, STRATA_USAGE, "%s is too large for rules", path);
    }
    return ferror(file) ? fail_errno(e, errno, "%s", path) : STRATA_OK;
}

static void print_amount(const char *what, const json_t *item)
{
    AUTO_FREE char *blobs = member_text(item, "blobs");
    AUTO_FREE char *bytes = member_size(item, "bytes");
    print_line("%s: %s blobs, %s", what, blobs, bytes);
}

static void print_report(const json_t *report)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(report, "rules"), i, item)
    {
        AUTO_FREE char *name = member_text(item, "name");
        AUTO_FREE char *tier = member_text(item, "tier");
        AUTO_FREE char *versions = member_text(item, "versions");
        AUTO_FREE char *what =
            alloc_printf("rule %s (%s) takes %s versions", name, tier, versions);
        print_amount(what, item);
    }
    json_array_foreach(json_object_get(report, "moves"), i, item)
    {
        AUTO_FREE char *from = member_text(item, "from");
        AUTO_FREE char *to = member_text(item, "to");
        AUTO_FREE char *what = alloc_printf("would move from %s to %s", from, to);
        print_amount(what, item);
    }
    json_array_foreach(json_object_get(report, "unsatisfied"), i, item)
    {
        AUTO_FREE char *tier = member_text(item, "tier");
        AUTO_FREE char *missing = member_size(item, "missing_bytes");
        print_line("%s would lack room for %s", tier, missing);
    }
    print_line("nothing was changed");
}

enum strata_status cmd_tier_rules_set(struct invocation *invocation,
                                      struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    CLEANUP(buf_clear) struct buf rules = {0};
    AUTO_FREE char *text = NULL;
    bool dry_run = option_given(invocation, "dry-run");
    enum strata_status status = read_rules(invocation->arguments[0], &rules, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_tier_rules_set(client, buf_text(&rules), dry_run, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *document = json_loads(text, 0, NULL);
    if (dry_run)
        print_report(document);
    else
        print_line("%zu rules are in force",
                   json_array_size(json_object_get(document, "rules")));
    return STRATA_OK;
}

static enum strata_status history_page(struct strata_client *client,
                                       const void *context, const char *token,
                                       char **json, struct strata_error *e)
{
    (void)context;
    return strata_tier_rules_history(client, token, PAGE, json, e);
}

enum strata_status cmd_tier_rules_history(struct invocation *invocation,
                                          struct strata_error *e)
{
    static const char *const titles[] = {"VERSION", "SET", "BY", "RULES"};
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, history_page, NULL, "history", &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_document(document, e);
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(document, "history"), i, entry)
    {
        table_add(&table, member_text(entry, "version"));
        table_add(&table, member_text(entry, "set_at"));
        table_add(&table, member_text(entry, "set_by"));
        table_add(&table, member_text(entry, "rules"));
    }
    table_print(&table);
    return STRATA_OK;
}
