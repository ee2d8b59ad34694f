// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/cli/wait.h"
#include "client/lib/fail.h"
#include "client/lib/strata_tiers.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/digest.h"

#define PAGE 1000

// "40.0 MB of 90.9 MB"
static char *done_text(const json_t *move)
{
    AUTO_FREE char *done = member_size(move, "bytes_done");
    AUTO_FREE char *size = member_size(move, "size");
    return alloc_printf("%s of %s", done, size);
}

static char *cause_text(const json_t *move)
{
    AUTO_FREE char *cause = member_text(move, "cause");
    AUTO_FREE char *rule = member_text(move, "rule");
    return strcmp(rule, "-") == 0 ? steal_ptr(cause) : alloc_printf("rule %s", rule);
}

static void print_moves(const json_t *moves)
{
    static const char *const titles[] = {"ID",   "FROM",  "TO",   "STATE", "DONE",
                                         "LEFT", "CAUSE", "BLOB", "ERROR"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *move;
    json_array_foreach(moves, i, move)
    {
        AUTO_FREE char *left = member_text(move, "eta_seconds");
        table_add(&table, member_text(move, "id"));
        table_add(&table, member_text(move, "from"));
        table_add(&table, member_text(move, "to"));
        table_add(&table, member_text(move, "state"));
        table_add(&table, done_text(move));
        table_add(&table, strcmp(left, "-") == 0 ? alloc_copy("-")
                                                 : alloc_printf("%s s", left));
        table_add(&table, cause_text(move));
        table_add(&table, member_text(move, "sha256"));
        table_add(&table, member_text(move, "error"));
    }
    table_print(&table);
}

static enum strata_status moves_page(struct strata_client *client, const void *context,
                                     const char *token, char **json,
                                     struct strata_error *e)
{
    return strata_move_list(client, context, token, PAGE, json, e);
}

enum strata_status cmd_moves(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    if (invocation->argument_count > 0 && strcmp(invocation->arguments[0], "ls") != 0)
        return fail_set(e, STRATA_USAGE, "usage: strata moves [OPTION...] [ls]");
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, moves_page, option_value(invocation, "state"),
                              "moves", &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_document(document, e);
    print_moves(json_object_get(document, "moves"));
    return STRATA_OK;
}

enum strata_status cmd_moves_show(struct invocation *invocation, struct strata_error *e)
{
    static const char *const members[] = {
        "id",         "sha256", "from",        "to",         "state",
        "bytes_done", "size",   "eta_seconds", "cause",      "rule",
        "attempts",   "error",  "created_at",  "started_at", "finished_at"};
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_move_get(client, invocation->arguments[0], &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *move = json_loads(text, 0, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        AUTO_FREE char *value = member_text(move, members[i]);
        print_line("%-12s %s", members[i], value);
    }
    return STRATA_OK;
}

enum strata_status cmd_moves_cancel(struct invocation *invocation,
                                    struct strata_error *e)
{
    const char *id = invocation->arguments[0];
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_move_cancel(client, id, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_JSON json_t *json = json_pack("{s:s, s:b}", "id", id, "cancelled", 1);
        return print_document(json, e);
    }
    print_line("Move %s is cancelled", id);
    return STRATA_OK;
}

// ---- begun here, and waited for -------------------------------------------------

static uint64_t total_of(const json_t *moves)
{
    uint64_t total = 0;
    size_t i;
    json_t *move;
    json_array_foreach(moves, i, move) total +=
        (uint64_t)json_integer_value(json_object_get(move, "size"));
    return total;
}

// "3 blobs, 14.0 GB, are on their way to hot"
static void print_outcome(const struct invocation *invocation, const json_t *moves,
                          const char *tier)
{
    char total[SIZE_TEXT];
    size_t count = json_array_size(moves);
    size_format(total_of(moves), total);
    if (option_given(invocation, "wait") || count == 0)
        print_line("%zu blobs, %s, were brought to %s", count, total, tier);
    else
        print_line("%zu blobs, %s, are on their way to %s; see `strata moves`", count,
                   total, tier);
}

static enum strata_status end_moves(const struct invocation *invocation,
                                    struct strata_client *client, json_t *moves,
                                    const char *tier, struct strata_error *e)
{
    enum strata_status status = STRATA_OK;
    if (option_given(invocation, "wait"))
        status = moves_wait(invocation, client, moves, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_JSON json_t *document = json_pack("{s:O}", "moves", moves);
        return print_document(document, e);
    }
    print_outcome(invocation, moves, tier);
    return STRATA_OK;
}

enum strata_status cmd_prefetch(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE const char **files = option_values(invocation, "files");
    AUTO_FREE char *text = NULL;
    const char *tier = NULL;
    enum strata_status status = option_tier(invocation, OPTION_REQUIRED, &tier, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status =
            strata_prefetch(client, invocation->arguments[0], tier, files, &text, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *answer = json_loads(text, 0, NULL);
    return end_moves(invocation, client, json_object_get(answer, "moves"), tier, e);
}

static enum strata_status start_one(struct strata_client *client, const char *sha256,
                                    const char *tier, json_t *moves,
                                    struct strata_error *e)
{
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_move_begin(client, sha256, tier, &text, e);
    if (status == STRATA_OK)
        json_array_append_new(moves, json_loads(text, 0, NULL));
    return status;
}

// Each blob of the version once.
static enum strata_status start_version(struct strata_client *client, const char *ref,
                                        const char *tier, json_t *moves,
                                        struct strata_error *e)
{
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_version_get(client, ref, &text, e);
    AUTO_JSON json_t *version = status == STRATA_OK ? json_loads(text, 0, NULL) : NULL;
    AUTO_JSON json_t *seen = json_object();
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(version, "files"), i, file)
    {
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));
        if (status != STRATA_OK || sha256 == NULL ||
            json_object_get(seen, sha256) != NULL)
            continue;
        json_object_set_new(seen, sha256, json_true());
        status = start_one(client, sha256, tier, moves, e);
    }
    return status;
}

enum strata_status cmd_moves_start(struct invocation *invocation,
                                   struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *moves = json_array();
    const char *what = invocation->arguments[0];
    const char *tier = NULL;
    struct digest digest;
    enum strata_status status = option_tier(invocation, OPTION_REQUIRED, &tier, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = digest_parse(what, &digest)
                     ? start_one(client, what, tier, moves, e)
                     : start_version(client, what, tier, moves, e);
    return status != STRATA_OK ? status : end_moves(invocation, client, moves, tier, e);
}
