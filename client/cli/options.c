// SPDX-License-Identifier: Apache-2.0
#include "client/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#define FIRST_LONG 256 // values of getopt_long above all letters
#define HELP_COLUMN 26

// What every command takes.
static const struct option_spec common_options[] = {
    {"json", '\0', NULL, "print one JSON document on standard output", false},
    {"quiet", 'q', NULL, "show no progress", false},
    {"retry", '\0', "SECONDS",
     "go on for so long while the server is away (default 60,\n"
     "but 3 when it never answered; 0: try once)",
     false},
    {"help", 'h', NULL, "show this help", false},
    {NULL, '\0', NULL, NULL, false},
};

static const char exit_help[] =
    "Exit status:\n"
    "  0  done\n"
    "  1  another error\n"
    "  2  the command line or the request is not allowed\n"
    "  3  not found\n"
    "  4  the token is missing, unknown or not allowed to do this\n"
    "  5  a conflict with the present state, or a precondition\n"
    "  6  bytes do not match their digest\n"
    "  7  the server or the network is away\n"
    "  8  local files: reading, writing, disk full\n";

static size_t spec_count(const struct option_spec *specs)
{
    size_t count = 0;
    while (specs != NULL && specs[count].name != NULL)
        count++;
    return count;
}

// Option `i` of the command's own and the common ones.
static const struct option_spec *spec_at(const struct command *command, size_t i)
{
    size_t own = spec_count(command->options);
    return i < own ? &command->options[i] : &common_options[i - own];
}

const struct command *command_find(int argc, char **argv, int *words)
{
    for (*words = 2; *words >= 1; --*words) {
        if (argc < *words)
            continue;
        AUTO_FREE char *name =
            *words == 2 ? alloc_printf("%s %s", argv[0], argv[1]) : alloc_copy(argv[0]);
        for (const struct command *c = commands; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0)
                return c;
        }
    }
    return NULL;
}

static void add_value(struct invocation *invocation, const char *name,
                      const char *value)
{
    invocation->values = alloc_grow(invocation->values, invocation->count + 1,
                                    sizeof *invocation->values);
    invocation->values[invocation->count++] = (struct option_value){name, value};
}

static enum strata_status unknown(const struct command *command, int argc, char **argv,
                                  int index, int value, struct strata_error *e)
{
    const char *word = index > 0 && index <= argc ? argv[index - 1] : "";
    char letter[] = {'-', (char)optopt, '\0'};
    if (optopt > 0 && optopt < FIRST_LONG)
        word = letter; // one of several in a word
    return fail_set(e, STRATA_USAGE, "%s: %s; see strata %s --help", word,
                    value == ':' ? "a value is missing" : "there is no such option",
                    command->name);
}

static enum strata_status parse(struct invocation *invocation, size_t total, int argc,
                                char **argv, struct strata_error *e)
{
    const struct command *command = invocation->command;
    AUTO_FREE struct option *table = alloc_array(total + 1, sizeof *table);
    AUTO_FREE char *letters = alloc_zero(2 * total + 2);
    size_t used = 0;
    letters[used++] = ':'; // we say ourselves what is wrong
    for (size_t i = 0; i < total; i++) {
        const struct option_spec *spec = spec_at(command, i);
        int has = spec->argument != NULL ? required_argument : no_argument;
        table[i] = (struct option){spec->name, has, NULL, FIRST_LONG + (int)i};
        if (spec->letter != '\0') {
            letters[used++] = spec->letter;
            if (has == required_argument)
                letters[used++] = ':';
        }
    }
    optind = 0; // glibc: start anew
    int value;
    while ((value = getopt_long(argc, argv, letters, table, NULL)) >= 0) {
        if (value == '?' || value == ':')
            return unknown(command, argc, argv, optind, value, e);
        for (size_t i = 0; i < total; i++) {
            const struct option_spec *spec = spec_at(command, i);
            if (value == FIRST_LONG + (int)i || value == spec->letter) {
                if (!spec->repeats && option_given(invocation, spec->name))
                    return fail_set(e, STRATA_USAGE, "--%s is given twice", spec->name);
                add_value(invocation, spec->name, optarg);
                break;
            }
        }
    }
    invocation->arguments = argv + optind;
    invocation->argument_count = argc - optind;
    return STRATA_OK;
}

enum strata_status invocation_parse(struct invocation *invocation,
                                    const struct command *command, int argc,
                                    char **argv, struct strata_error *e)
{
    *invocation = (struct invocation){.command = command};
    size_t total = spec_count(command->options) + spec_count(common_options);
    enum strata_status status = parse(invocation, total, argc, argv, e);
    if (status != STRATA_OK)
        return status;
    invocation->help = option_given(invocation, "help");
    int count = invocation->argument_count;
    if (!invocation->help && (count < command->least || count > command->most))
        return fail_set(e, STRATA_USAGE, "usage: strata %s [OPTION...] %s",
                        command->name, command->arguments);
    return STRATA_OK;
}

void invocation_clear(struct invocation *invocation)
{
    free(invocation->values);
    *invocation = (struct invocation){0};
}

bool option_given(const struct invocation *invocation, const char *name)
{
    for (size_t i = 0; i < invocation->count; i++) {
        if (strcmp(invocation->values[i].name, name) == 0)
            return true;
    }
    return false;
}

const char *option_value(const struct invocation *invocation, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < invocation->count; i++) {
        if (strcmp(invocation->values[i].name, name) == 0)
            value = invocation->values[i].value;
    }
    return value;
}

const char **option_values(const struct invocation *invocation, const char *name)
{
    const char **values = alloc_array(invocation->count + 1, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < invocation->count; i++) {
        if (strcmp(invocation->values[i].name, name) == 0)
            values[count++] = invocation->values[i].value;
    }
    return values;
}

enum strata_status option_number(const struct invocation *invocation, const char *name,
                                 long least, long most, long otherwise, long *number,
                                 struct strata_error *e)
{
    *number = otherwise;
    const char *text = option_value(invocation, name);
    if (text == NULL)
        return STRATA_OK;
    char *end = NULL;
    errno = 0;
    *number = strtol(text, &end, 10);
    if (errno == 0 && end > text && *end == '\0' && *number >= least && *number <= most)
        return STRATA_OK;
    return fail_set(e, STRATA_USAGE, "--%s takes a number from %ld to %ld", name, least,
                    most);
}

enum strata_status option_tier(const struct invocation *invocation,
                               enum option_need need, const char **tier,
                               struct strata_error *e)
{
    static const char *const tiers[] = {"hot", "warm", "cold"};
    *tier = option_value(invocation, "tier");
    if (*tier == NULL)
        return need == OPTION_OPTIONAL
                   ? STRATA_OK
                   : fail_set(e, STRATA_USAGE, "--tier hot, warm or cold is needed");
    for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
        if (strcmp(*tier, tiers[i]) == 0)
            return STRATA_OK;
    }
    return fail_set(e, STRATA_USAGE, "--tier %s: a tier is hot, warm or cold", *tier);
}

static void help_option(const struct option_spec *spec, FILE *to)
{
    AUTO_FREE char *letter =
        spec->letter != '\0' ? alloc_printf("-%c, ", spec->letter) : alloc_copy("");
    int used = fprintf(to, "  %s--%s%s%s", letter, spec->name,
                       spec->argument != NULL ? " " : "",
                       spec->argument != NULL ? spec->argument : "");
    if (used >= HELP_COLUMN - 1) {
        fputc('\n', to);
        used = 0;
    }
    for (const char *line = spec->help; line != NULL;) {
        const char *end = strchr(line, '\n');
        int size = end != NULL ? (int)(end - line) : (int)strlen(line);
        fprintf(to, "%*s%.*s\n", HELP_COLUMN - used, "", size, line);
        used = 0;
        line = end != NULL ? end + 1 : NULL;
    }
}

void help_command(const struct command *command, FILE *to)
{
    fprintf(to, "usage: strata %s [OPTION...] %s\n\n%s.\n", command->name,
            command->arguments, command->summary);
    if (command->details != NULL)
        fprintf(to, "\n%s\n", command->details);
    fputs("\nOptions:\n", to);
    size_t total = spec_count(command->options) + spec_count(common_options);
    for (size_t i = 0; i < total; i++)
        help_option(spec_at(command, i), to);
    fprintf(to, "\n%s", exit_help);
}

void help_all(FILE *to)
{
    fputs("usage: strata COMMAND [OPTION...] [ARGUMENT...]\n\n"
          "The command line of the Strata model registry.\n\nCommands:\n",
          to);
    for (const struct command *c = commands; c->name != NULL; c++)
        fprintf(to, "  %-18s %s\n", c->name, c->summary);
    fputs("\nA REF is ns/name, ns/name@7, ns/name@alias or ns/name@sha256:DIGEST; "
          "without @\nit is the newest version. `strata COMMAND --help` says more.\n"
          "The server and the token come from `strata login`, or from STRATA_URL and\n"
          "STRATA_TOKEN.\n\nEvery command takes:\n",
          to);
    for (size_t i = 0; common_options[i].name != NULL; i++)
        help_option(&common_options[i], to);
    fprintf(to, "\n%s", exit_help);
}

void help_reference(FILE *to)
{
    for (const struct command *c = commands; c->name != NULL; c++) {
        fprintf(to, "### strata %s%s%s\n\n%s.\n", c->name,
                c->arguments[0] != '\0' ? " " : "", c->arguments, c->summary);
        if (c->details != NULL)
            fprintf(to, "\n```text\n%s\n```\n", c->details);
        if (c->options != NULL) {
            fputs("\n```text\n", to);
            for (const struct option_spec *o = c->options; o->name != NULL; o++)
                help_option(o, to);
            fputs("```\n", to);
        }
        fputc('\n', to);
    }
    fputs("### What every command takes\n\n```text\n", to);
    for (size_t i = 0; common_options[i].name != NULL; i++)
        help_option(&common_options[i], to);
    fprintf(to, "\n%s```\n", exit_help);
}
