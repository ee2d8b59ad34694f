// SPDX-License-Identifier: Apache-2.0
// Options of stratad: defaults, then the file (inih, `name = value`, no sections), then
// the command line. One table, common/config.def. A struct config is filled in once and
// constant afterwards; any thread reads it.
//
// Texts are never NULL ("" = not given), sizes are bytes, durations (_ms) milliseconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

#define CONFIG_RELOAD 1u // SIGHUP takes a new value over
#define CONFIG_HIDDEN 2u // for tests: neither in --help nor in the reference

#define CONFIG_TYPE_TEXT char *
#define CONFIG_TYPE_INT int64_t
#define CONFIG_TYPE_SIZE uint64_t
#define CONFIG_TYPE_DURATION int64_t
#define CONFIG_TYPE_BOOL bool

// What stratad is asked to do; everything but CONFIG_SERVE prints and ends.
enum config_action {
    CONFIG_SERVE,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_PRINT_OPTIONS,
    CONFIG_PRINT_ERRORS,
    CONFIG_PRINT_METRICS,
    CONFIG_PRINT_ROUTES,
};

struct config {
    enum config_action action;
    bool reset_admin_token; // serve, with a new DIR/admin.token
    char *file;             // --config, or ""
#define X(kind, field, ...) CONFIG_TYPE_##kind field;
#include "common/config.def"
#undef X
};

// ERR_BAD_REQUEST with a text for the person who typed it: file:line, option and what
// is wrong. The caller frees with config_free.
enum err config_load(int argc, char **argv, struct config **config,
                     struct error *e) MUST_CHECK;
void config_free(struct config *config); // NULL is allowed
static inline void config_free_at(struct config **config)
{
    config_free(*config);
}

// Calls `changed` with the name of each option that differs between the two; `reload`
// says whether it may be taken over without a restart.
void config_compare(const struct config *old, const struct config *fresh,
                    void (*changed)(const char *name, bool reload, void *context),
                    void *context);

void config_print_help(FILE *out);
void config_print_markdown(FILE *out);

// 10, 48K, 1T (powers of 1024); false when it does not parse or overflows.
bool config_parse_size(const char *text, uint64_t *bytes);
// 500ms, 30s, 5m, 24h, 7d; a bare 0 too.
bool config_parse_duration(const char *text, int64_t *ms);
