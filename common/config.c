// SPDX-License-Identifier: Apache-2.0
#include "common/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ini.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

enum kind { KIND_TEXT, KIND_INT, KIND_SIZE, KIND_DURATION, KIND_BOOL };

struct option {
    const char *name;
    enum kind kind;
    size_t offset; // of the field in struct config
    const char *fallback;
    int64_t minimum;
    int64_t maximum;
    unsigned flags;
    const char *argument;
    const char *help;
};

static const struct option options[] = {
#define X(kind, field, name, fallback, minimum, maximum, flags, argument, help)        \
    {name,    KIND_##kind, offsetof(struct config, field), fallback, minimum,          \
     maximum, flags,       argument,                       help},
#include "common/config.def"
#undef X
};
#define OPTIONS ARRAY_SIZE(options)

struct action {
    const char *name;
    enum config_action action;
    const char *help;
};

static const struct action actions[] = {
    {"help", CONFIG_HELP, "Print this text."},
    {"version", CONFIG_VERSION, "Print the version."},
    {"print-options", CONFIG_PRINT_OPTIONS, "Print the options as a Markdown table."},
    {"print-errors", CONFIG_PRINT_ERRORS, "Print the errors as a Markdown table."},
    {"print-metrics", CONFIG_PRINT_METRICS, "Print the metrics as a Markdown table."},
    {"print-routes", CONFIG_PRINT_ROUTES, "Print the routes, one a line."},
};

static const char reset_help[] =
    "Serve, after revoking the first administrator's tokens and writing a new one.";

// How far loading has come. `line` counts what inih has read.
struct load {
    struct config *config;
    FILE *file;
    bool in_file[OPTIONS];
    bool in_arguments[OPTIONS];
    int line;
    bool failed;
    struct error *e;
};

// `_` and `-` are the same on the command line.
static bool same_name(const char *given, size_t length, const char *name)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        char a = given[i] == '-' ? '_' : given[i];
        char b = name[i] == '-' ? '_' : name[i];
        if (a != b)
            return false;
    }
    return true;
}

// ---- values -------------------------------------------------------------------

static bool parse_number(const char *text, uint64_t *number, const char **end)
{
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    char *after;
    *number = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

bool config_parse_size(const char *text, uint64_t *bytes)
{
    uint64_t number;
    const char *unit;
    if (!parse_number(text, &number, &unit))
        return false;
    static const char letters[] = "KMGT";
    unsigned shift = 0;
    if (*unit != '\0') {
        const char *letter = strchr(letters, *unit);
        if (letter == NULL || unit[1] != '\0')
            return false;
        shift = 10 * (unsigned)(letter - letters + 1);
    }
    if (number > (uint64_t)INT64_MAX >> shift)
        return false;
    *bytes = number << shift;
    return true;
}

bool config_parse_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *text;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t number;
    const char *unit;
    if (!parse_number(text, &number, &unit))
        return false;
    if (*unit == '\0' && number == 0) {
        *ms = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(unit, units[i].text) != 0)
            continue;
        if (number > (uint64_t)(INT64_MAX / units[i].ms))
            return false;
        *ms = (int64_t)number * units[i].ms;
        return true;
    }
    return false;
}

static bool parse_bool(const char *text, bool *value)
{
    *value = strcmp(text, "true") == 0;
    return *value || strcmp(text, "false") == 0;
}

static enum err refuse(const struct option *option, const char *value, const char *want,
                       struct error *e)
{
    return error_set(e, ERR_BAD_REQUEST, "%s: \"%s\" is not %s", option->name, value,
                     want);
}

static enum err check_bounds(const struct option *option, const char *value,
                             int64_t number, struct error *e)
{
    if (number >= option->minimum && number <= option->maximum)
        return ERR_NONE;
    const char *unit = option->kind == KIND_DURATION ? "ms" : "";
    return error_set(e, ERR_BAD_REQUEST,
                     "%s: \"%s\" is outside %" PRId64 "%s to %" PRId64 "%s",
                     option->name, value, option->minimum, unit, option->maximum, unit);
}

static enum err set_text(const struct option *option, char **field, const char *value,
                         struct error *e)
{
    enum log_level level;
    if (strcmp(option->name, "log_level") == 0 && !log_level_parse(value, &level))
        return refuse(option, value, "debug, info, warn or error", e);
    if (strcmp(option->name, "s3_style") == 0 && strcmp(value, "path") != 0 &&
        strcmp(value, "virtual") != 0)
        return refuse(option, value, "path or virtual", e);
    free(*field);
    *field = alloc_copy(value);
    return ERR_NONE;
}

static enum err set_value(struct config *config, const struct option *option,
                          const char *value, struct error *e)
{
    void *field = (char *)config + option->offset;
    uint64_t number = 0;
    int64_t ms = 0;
    const char *end;
    switch (option->kind) {
    case KIND_TEXT:
        return set_text(option, field, value, e);
    case KIND_BOOL:
        if (!parse_bool(value, field))
            return refuse(option, value, "true or false", e);
        return ERR_NONE;
    case KIND_DURATION:
        if (!config_parse_duration(value, &ms))
            return refuse(option, value, "a time such as 500ms, 30s, 5m, 24h or 7d", e);
        *(int64_t *)field = ms;
        return check_bounds(option, value, ms, e);
    case KIND_SIZE:
        if (!config_parse_size(value, &number))
            return refuse(option, value, "a size such as 4096, 48K, 64M, 5G or 1T", e);
        *(uint64_t *)field = number;
        return check_bounds(option, value, (int64_t)number, e);
    case KIND_INT:
        if (!parse_number(value, &number, &end) || *end != '\0' || number > INT64_MAX)
            return refuse(option, value, "a number", e);
        *(int64_t *)field = (int64_t)number;
        return check_bounds(option, value, (int64_t)number, e);
    }
    return ERR_INTERNAL;
}

// ---- the file -------------------------------------------------------------------

// inih cuts longer lines silently; they are refused here instead.
static char *read_line(char *text, int size, void *stream)
{
    struct load *load = stream;
    if (fgets(text, size, load->file) == NULL)
        return NULL;
    load->line++;
    size_t length = strlen(text);
    if (length + 1 == (size_t)size && text[length - 1] != '\n' && !load->failed) {
        load->failed = true;
        error_set(load->e, ERR_BAD_REQUEST, "%s:%d: the line is longer than %d bytes",
                  load->config->file, load->line, size - 2);
    }
    return text;
}

static int file_fails(struct load *load, const char *format, ...) PRINTF_LIKE(2, 3);
static int file_fails(struct load *load, const char *format, ...)
{
    char text[sizeof load->e->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    load->failed = true;
    error_set(load->e, ERR_BAD_REQUEST, "%s:%d: %s", load->config->file, load->line,
              text);
    return 0;
}

static int take_line(void *user, const char *section, const char *name,
                     const char *value)
{
    struct load *load = user;
    if (load->failed)
        return 0;
    if (section[0] != '\0')
        return file_fails(load, "there are no sections, as [%s]", section);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        if (load->in_file[i])
            return file_fails(load, "%s is given twice", name);
        load->in_file[i] = true;
        if (load->in_arguments[i])
            return 1;
        struct error why = {0};
        if (set_value(load->config, &options[i], value, &why) != ERR_NONE)
            return file_fails(load, "%s", why.detail);
        return 1;
    }
    return file_fails(load, "there is no option %s (see stratad --help)", name);
}

static enum err load_file(struct load *load)
{
    load->file = fopen(load->config->file, "re");
    if (load->file == NULL)
        return error_set(load->e, ERR_BAD_REQUEST, "%s: %s", load->config->file,
                         strerror(errno));
    int line = ini_parse_stream(read_line, load, take_line, load);
    bool unreadable = ferror(load->file) != 0;
    fclose(load->file);
    if (load->failed)
        return ERR_BAD_REQUEST;
    if (unreadable)
        return error_set(load->e, ERR_BAD_REQUEST, "%s cannot be read",
                         load->config->file);
    if (line != 0)
        return error_set(load->e, ERR_BAD_REQUEST,
                         "%s:%d: the line is not `name = value`", load->config->file,
                         line);
    return ERR_NONE;
}

// ---- the command line -------------------------------------------------------------

static enum err take_option(struct load *load, const struct option *option,
                            const char *value)
{
    size_t i = (size_t)(option - options);
    if (load->in_arguments[i])
        return error_set(load->e, ERR_BAD_REQUEST, "--%s is given twice", option->name);
    load->in_arguments[i] = true;
    return set_value(load->config, option, value, load->e);
}

// True when the argument is one without a value.
static bool take_action(struct load *load, const char *name, size_t length)
{
    if (same_name(name, length, "reset-admin-token"))
        return load->config->reset_admin_token = true;
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (same_name(name, length, actions[i].name)) {
            load->config->action = actions[i].action;
            return true;
        }
    }
    return false;
}

static enum err take_argument(struct load *load, int argc, char **argv, int *i)
{
    const char *argument = argv[*i];
    if (strncmp(argument, "--", 2) != 0)
        return error_set(load->e, ERR_BAD_REQUEST, "%s is not an option", argument);
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (value == NULL && take_action(load, name, length))
        return ERR_NONE;
    const struct option *option = NULL;
    for (size_t k = 0; k < OPTIONS; k++) {
        if (same_name(name, length, options[k].name))
            option = &options[k];
    }
    bool is_file = same_name(name, length, "config");
    if (option == NULL && !is_file)
        return error_set(load->e, ERR_BAD_REQUEST, "there is no option %s", argument);
    if (value == NULL && *i + 1 >= argc)
        return error_set(load->e, ERR_BAD_REQUEST, "%s needs a value", argument);
    if (value == NULL)
        value = argv[++*i];
    if (!is_file)
        return take_option(load, option, value);
    free(load->config->file);
    load->config->file = alloc_copy(value);
    return ERR_NONE;
}

static void set_defaults(struct config *config)
{
    config->file = alloc_copy("");
    for (size_t i = 0; i < OPTIONS; i++) {
        if (set_value(config, &options[i], options[i].fallback, NULL) != ERR_NONE)
            abort();
    }
}

// What the options mean together.
static enum err check_whole(const struct config *c, struct error *e)
{
    if (c->data[0] == '\0')
        return error_set(e, ERR_BAD_REQUEST,
                         "say where the data lies: --data DIR, or `data` in the file "
                         "given with --config");
    if (c->hot_low_mark > c->hot_high_mark)
        return error_set(e, ERR_BAD_REQUEST, "hot_low_mark is above hot_high_mark");
    if (c->warm_low_mark > c->warm_high_mark)
        return error_set(e, ERR_BAD_REQUEST, "warm_low_mark is above warm_high_mark");
    if ((c->s3_endpoint[0] == '\0') != (c->s3_bucket[0] == '\0'))
        return error_set(e, ERR_BAD_REQUEST,
                         "s3_endpoint and s3_bucket go together: give both or neither");
    return ERR_NONE;
}

enum err config_load(int argc, char **argv, struct config **config, struct error *e)
{
    struct error unread = {0};
    CLEANUP(config_free_at) struct config *made = alloc_zero(sizeof *made);
    struct load load = {.config = made, .e = e != NULL ? e : &unread};
    set_defaults(made);
    enum err err = ERR_NONE;
    for (int i = 1; err == ERR_NONE && i < argc; i++)
        err = take_argument(&load, argc, argv, &i);
    if (err == ERR_NONE && made->file[0] != '\0')
        err = load_file(&load);
    if (err != ERR_NONE)
        return err;
    if (made->action == CONFIG_SERVE)
        err = check_whole(made, e);
    if (err != ERR_NONE)
        return err;
    *config = steal_ptr(made);
    return ERR_NONE;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].kind == KIND_TEXT)
            free(*(char **)((char *)config + options[i].offset));
    }
    free(config->file);
    free(config);
}

// ---- what it tells ------------------------------------------------------------------

static bool is_same(const struct option *option, const struct config *a,
                    const struct config *b)
{
    const void *x = (const char *)a + option->offset;
    const void *y = (const char *)b + option->offset;
    switch (option->kind) {
    case KIND_TEXT:
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case KIND_BOOL:
        return *(const bool *)x == *(const bool *)y;
    default:
        return *(const uint64_t *)x == *(const uint64_t *)y;
    }
}

void config_compare(const struct config *old, const struct config *fresh,
                    void (*changed)(const char *name, bool reload, void *context),
                    void *context)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!is_same(&options[i], old, fresh))
            changed(options[i].name, (options[i].flags & CONFIG_RELOAD) != 0, context);
    }
}

// The name as it is typed on the command line.
static const char *dashed(const char *name, char text[64])
{
    snprintf(text, 64, "%s", name);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return text;
}

void config_print_help(FILE *out)
{
    char name[64];
    fputs("usage: stratad --config FILE | --data DIR [--listen ADDR:PORT] "
          "[OPTION...]\n\n",
          out);
    fputs("  --config FILE\n        Read options from FILE: `name = value`, a line "
          "each; names with `_`.\n",
          out);
    for (size_t i = 0; i < OPTIONS; i++) {
        if ((options[i].flags & CONFIG_HIDDEN) != 0)
            continue;
        fprintf(out, "  --%s %s", dashed(options[i].name, name), options[i].argument);
        if (options[i].fallback[0] != '\0')
            fprintf(out, "  (%s)", options[i].fallback);
        fprintf(out, "\n        %s\n", options[i].help);
    }
    fprintf(out, "  --reset-admin-token\n        %s\n", reset_help);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        fprintf(out, "  --%s\n        %s\n", actions[i].name, actions[i].help);
}

void config_print_markdown(FILE *out)
{
    fputs("| option | value | default | SIGHUP | meaning |\n"
          "| --- | --- | --- | --- | --- |\n",
          out);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];
        if ((option->flags & CONFIG_HIDDEN) != 0)
            continue;
        const char *quote = option->fallback[0] != '\0' ? "`" : "";
        fprintf(out, "| `%s` | %s | %s%s%s | %s | %s |\n", option->name,
                option->argument, quote, option->fallback, quote,
                (option->flags & CONFIG_RELOAD) != 0 ? "yes" : "", option->help);
    }
    fprintf(out, "| `--config` | FILE | | | Read options from FILE. |\n"
                 "| `--reset-admin-token` | | | | %s |\n",
            reset_help);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        fprintf(out, "| `--%s` | | | | %s |\n", actions[i].name, actions[i].help);
}
