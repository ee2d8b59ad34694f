// SPDX-License-Identifier: Apache-2.0
// Which server, and who one is there: $XDG_CONFIG_HOME/strata/config.json (or
// ~/.config/strata/config.json, mode 0600), and STRATA_URL and STRATA_TOKEN before it.
#pragma once

#include "client/lib/strata.h"

struct cli_config {
    char *url; // owned; NULL = none
    char *token;
};

void cli_config_clear(struct cli_config *config);
// The token of the file goes to the server of the file only.
enum strata_status cli_config_load(struct cli_config *config, struct strata_error *e);
// *path is the file that was written; the caller frees.
enum strata_status cli_config_save(const struct cli_config *config, char **path,
                                   struct strata_error *e);
