// SPDX-License-Identifier: Apache-2.0
// Commands and their options: one table a command, from which both the parsing (by
// getopt_long) and the help text come.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "client/lib/strata.h"

struct option_spec {
    const char *name;     // long, without dashes
    char letter;          // '\0' = none
    const char *argument; // what help calls it; NULL = a flag
    const char *help;     // lines may be broken with \n
    bool repeats;
};

struct invocation;

struct command {
    const char *name;      // "publish", "alias set"
    const char *arguments; // "DIR MODEL"
    const char *summary;
    const char *details;               // further lines of its help, or NULL
    const struct option_spec *options; // ended by a NULL name; NULL = none of its own
    int least;                         // arguments
    int most;
    enum strata_status (*run)(struct invocation *invocation, struct strata_error *e);
};

// In the order of the help; ended by a NULL name. commands.c.
extern const struct command commands[];

struct option_value {
    const char *name;
    const char *value; // NULL = a flag
};

// A command line that was understood. The texts belong to argv.
struct invocation {
    const struct command *command;
    struct option_value *values; // in their order
    size_t count;
    char **arguments;
    int argument_count;
    bool help;
};

// The command that the words name, and how many words its name has; NULL = none.
const struct command *command_find(int argc, char **argv, int *words);
// argv[0] is the last word of the command's name. STRATA_USAGE. invocation_clear frees.
enum strata_status invocation_parse(struct invocation *invocation,
                                    const struct command *command, int argc,
                                    char **argv, struct strata_error *e);
void invocation_clear(struct invocation *invocation);

bool option_given(const struct invocation *invocation, const char *name);
// The last value, or NULL.
const char *option_value(const struct invocation *invocation, const char *name);
// All values of an option, ended by NULL; the caller frees the array.
const char **option_values(const struct invocation *invocation, const char *name);
// A number from `least` to `most`; `otherwise` when the option is not given.
enum strata_status option_number(const struct invocation *invocation, const char *name,
                                 long least, long most, long otherwise, long *number,
                                 struct strata_error *e);

enum option_need { OPTION_OPTIONAL, OPTION_REQUIRED };
// --tier: hot, warm or cold; NULL when it is not given.
enum strata_status option_tier(const struct invocation *invocation,
                               enum option_need need, const char **tier,
                               struct strata_error *e);

void help_all(FILE *to);
void help_command(const struct command *command, FILE *to);
// All of it in Markdown, for docs/REFERENCE.md.
void help_reference(FILE *to);
