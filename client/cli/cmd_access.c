// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/config.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_text.h"

#define TOKEN_MAXIMUM 4096
#define PAGE 1000

static void close_file(FILE **file)
{
    if (*file != NULL && *file != stdin)
        fclose(*file);
}

// The first line of a file, without what surrounds it.
static enum strata_status read_token(const char *path, char **token,
                                     struct strata_error *e)
{
    bool input = path == NULL || strcmp(path, "-") == 0;
    CLEANUP(close_file) FILE *file = input ? stdin : fopen(path, "re");
    if (file == NULL)
        return fail_errno(e, errno, "%s", path);
    struct termios before;
    bool hidden =
        input && isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0;
    if (hidden) {
        struct termios quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Token: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char line[TOKEN_MAXIMUM];
    char *got = fgets(line, sizeof line, file);
    if (hidden) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (got == NULL)
        line[0] = '\0';
    char *begin = line + strspn(line, " \t");
    begin[strcspn(begin, " \t\r\n")] = '\0';
    if (begin[0] == '\0')
        return fail_set(e, STRATA_USAGE, "no token on %s",
                        input ? "standard input" : path);
    *token = alloc_copy(begin);
    return STRATA_OK;
}

enum strata_status cmd_login(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(cli_config_clear)
    struct cli_config config = {.url = alloc_copy(invocation->arguments[0])};
    enum strata_status status =
        read_token(option_value(invocation, "token-file"), &config.token, e);
    if (status != STRATA_OK)
        return status;
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *who = NULL;
    AUTO_FREE char *path = NULL;
    status = session_open_at(invocation, config.url, config.token, &client, e);
    if (status == STRATA_OK)
        status = strata_whoami(client, &who, e);
    if (status == STRATA_OK)
        status = cli_config_save(&config, &path, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(who, e);
    AUTO_JSON json_t *json = json_loads(who, 0, NULL);
    AUTO_FREE char *principal = member_text(json, "principal");
    AUTO_FREE char *role = member_text(json, "role");
    print_line("Logged in to %s as %s (%s); kept in %s", config.url, principal, role,
               path);
    return STRATA_OK;
}

enum strata_status cmd_whoami(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_whoami(client, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    AUTO_FREE char *principal = member_text(json, "principal");
    AUTO_FREE char *kind = member_text(json, "kind");
    AUTO_FREE char *role = member_text(json, "role");
    AUTO_FREE char *id = member_text(json_object_get(json, "token"), "id");
    AUTO_FREE char *ends = member_text(json_object_get(json, "token"), "expires_at");
    print_line("principal  %s (%s)", principal, kind);
    print_line("role       %s", role);
    print_line("token      %s", id);
    print_line("expires    %s", strcmp(ends, "-") == 0 ? "never" : ends);
    return STRATA_OK;
}

static enum strata_status token_page(struct strata_client *client, const void *context,
                                     const char *token, char **json,
                                     struct strata_error *e)
{
    (void)context;
    return strata_token_list(client, token, PAGE, json, e);
}

enum strata_status cmd_tokens_ls(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, token_page, NULL, "tokens", &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_FREE char *text = json_text_dump(document, NULL);
        return print_json(text, e);
    }
    static const char *const members[] = {"id",         "principal",  "role",
                                          "created_at", "expires_at", "description"};
    static const char *const titles[] = {"ID",      "PRINCIPAL", "ROLE",
                                         "CREATED", "EXPIRES",   "DESCRIPTION"};
    struct table table = {.columns = ARRAY_SIZE(members)};
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
        table_add(&table, alloc_copy(titles[i]));
    size_t n;
    json_t *token;
    json_array_foreach(json_object_get(document, "tokens"), n, token)
    {
        bool revoked = !json_is_null(json_object_get(token, "revoked_at"));
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
            bool ends = strcmp(members[i], "expires_at") == 0;
            table_add(&table, ends && revoked ? alloc_copy("revoked")
                                              : member_text(token, members[i]));
        }
    }
    table_print(&table);
    return STRATA_OK;
}

enum strata_status cmd_tokens_create(struct invocation *invocation,
                                     struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    const char *role = option_value(invocation, "role");
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK) {
        status = strata_token_create(
            client, invocation->arguments[0], option_value(invocation, "kind"),
            role != NULL ? role : "reader", option_value(invocation, "description"),
            option_value(invocation, "expires"), &text, e);
    }
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    AUTO_FREE char *secret = member_text(json, "token");
    AUTO_FREE char *id = member_text(json, "id");
    print_line("%s", secret);
    fprintf(stderr, "This secret is not shown again; its id is %s.\n", id);
    return STRATA_OK;
}

enum strata_status cmd_tokens_revoke(struct invocation *invocation,
                                     struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    const char *id = invocation->arguments[0];
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_token_revoke(client, id, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_JSON json_t *json = json_pack("{s:s, s:b}", "id", id, "revoked", 1);
        AUTO_FREE char *text = json_text_dump(json, NULL);
        return print_json(text, e);
    }
    print_line("Token %s is revoked", id);
    return STRATA_OK;
}
