// SPDX-License-Identifier: Apache-2.0
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/options.h"
#include "client/cli/output.h"
#include "client/lib/fail.h"
#include "client/lib/strata.h"
#include "common/cleanup.h"
#include "common/standard_files.h"

// Prints the commands of two words that begin with this one; false when there are none.
static bool print_family(const char *word, FILE *to)
{
    bool any = false;
    size_t size = strlen(word);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strncmp(c->name, word, size) != 0 || c->name[size] != ' ')
            continue;
        fprintf(to, "%s strata %s [OPTION...] %s\n", any ? "      " : "usage:", c->name,
                c->arguments);
        any = true;
    }
    return any;
}

static int usage(const char *word)
{
    if (word != NULL && print_family(word, stderr))
        return STRATA_USAGE;
    if (word != NULL)
        fprintf(stderr, "strata: there is no command %s\n\n", word);
    help_all(stderr);
    return STRATA_USAGE;
}

// `strata help`, `strata help publish`, `strata --help`.
static int help(int argc, char **argv)
{
    int words = 0;
    const struct command *command =
        argc > 2 ? command_find(argc - 2, argv + 2, &words) : NULL;
    if (argc > 2 && command == NULL)
        return print_family(argv[2], stdout) ? STRATA_OK : usage(argv[2]);
    if (command != NULL)
        help_command(command, stdout);
    else
        help_all(stdout);
    return STRATA_OK;
}

// Known before the options are, so that an error in them is a document too.
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

// Help and the version; -1 when the words ask for neither.
static int about(int argc, char **argv)
{
    if (argc < 2)
        return usage(NULL);
    if (strcmp(argv[1], "--version") == 0) {
        printf("strata %s\n", strata_version());
        return STRATA_OK;
    }
    if (strcmp(argv[1], "--print-reference") == 0) {
        help_reference(stdout);
        return STRATA_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return help(argc, argv);
    bool asks =
        argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
    return asks && print_family(argv[1], stdout) ? STRATA_OK : -1;
}

static enum strata_status run(int argc, char **argv, struct strata_error *e)
{
    int words = 0;
    const struct command *command = command_find(argc - 1, argv + 1, &words);
    CLEANUP(invocation_clear) struct invocation invocation = {0};
    enum strata_status status =
        invocation_parse(&invocation, command, argc - words, argv + words, e);
    if (status != STRATA_OK)
        return status;
    if (!invocation.help)
        return command->run(&invocation, e);
    help_command(command, stdout);
    return STRATA_OK;
}

int main(int argc, char **argv)
{
    standard_files_open();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); // a server that goes away is an error, not our end
    struct strata_error e = {0};
    int words = 0;
    int said = about(argc, argv);
    if (said < 0 && command_find(argc - 1, argv + 1, &words) == NULL)
        said = usage(argv[1]);
    enum strata_status status =
        said < 0 ? run(argc, argv, &e) : (enum strata_status)said;
    if (status == STRATA_OK)
        status = print_end(&e);
    // `usage` and a verify that found something have said what there is to say.
    if (status != STRATA_OK && e.detail[0] != '\0')
        report_error(&e, wants_json(argc, argv));
    return (int)status;
}
