// SPDX-License-Identifier: Apache-2.0
// The functions behind the commands; each file of commands has its part.
#pragma once

#include "client/cli/options.h"

typedef enum strata_status command_fn(struct invocation *invocation,
                                      struct strata_error *e);

// cmd_access.c
command_fn cmd_login, cmd_whoami, cmd_tokens_ls, cmd_tokens_create, cmd_tokens_revoke;
// cmd_decode.c
command_fn cmd_decode;
// cmd_gc.c
command_fn cmd_gc;
// cmd_moves.c
command_fn cmd_moves, cmd_moves_show, cmd_moves_cancel, cmd_moves_start, cmd_prefetch;
// cmd_publish.c
command_fn cmd_publish, cmd_upload;
// cmd_pull.c
command_fn cmd_pull, cmd_verify, cmd_cat;
// cmd_registry.c
command_fn cmd_ls, cmd_show, cmd_tensors, cmd_rm, cmd_alias_set, cmd_alias_rm,
    cmd_alias_history;
// cmd_scrub.c
command_fn cmd_scrub, cmd_scrub_start;
// cmd_tiers.c
command_fn cmd_tiers, cmd_placements, cmd_pin, cmd_pin_ls, cmd_pin_rm,
    cmd_tier_rules_get, cmd_tier_rules_set, cmd_tier_rules_history;
