// SPDX-License-Identifier: Apache-2.0
// The table of commands and their options.
#include "client/cli/commands.h"

#define FLAG(name, letter, help)                                                       \
    {                                                                                  \
        name, letter, NULL, help, false                                                \
    }
#define VALUE(name, letter, argument, help)                                            \
    {                                                                                  \
        name, letter, argument, help, false                                            \
    }
#define LIST(name, letter, argument, help)                                             \
    {                                                                                  \
        name, letter, argument, help, true                                             \
    }
#define END                                                                            \
    {                                                                                  \
        NULL, '\0', NULL, NULL, false                                                  \
    }
#define TIER VALUE("tier", 't', "TIER", "hot, warm or cold; required")
#define WAIT FLAG("wait", 'w', "show how the moves go on until they have ended")
#define UPLOAD_TIER                                                                    \
    VALUE("tier", '\0', "TIER",                                                        \
          "where bytes that are sent go: hot (default), warm or\n"                     \
          "cold; what is there already stays where it is")
#define JOBS VALUE("jobs", 'j', "N", "connections at once (default 4)")

static const struct option_spec login_options[] = {
    VALUE("token-file", '\0', "FILE", "read the token from FILE, - is standard input"),
    END,
};

static const struct option_spec publish_options[] = {
    LIST("parent", '\0', "REF:RELATION",
         "a version that this one was made from, or the URI of\n"
         "an outside one; the relation is fine-tune, checkpoint,\n"
         "quantize, merge, distill, adapter or convert"),
    LIST("dataset", '\0', "URI", "data that it was trained on"),
    LIST("metric", '\0', "KEY=NUMBER", "a metric; nan, inf and -inf are numbers"),
    LIST("param", '\0', "KEY=VALUE", "a parameter: number, true, false or text"),
    LIST("tag", '\0', "KEY=TEXT", "a tag"),
    LIST("alias", '\0', "NAME", "an alias to set to the new version"),
    VALUE("description", '\0', "TEXT", "what this version is"),
    VALUE("run-url", '\0', "URL", "the run that made it"),
    VALUE("run-id", '\0', "ID", "the run's name"),
    VALUE("commit", '\0', "SHA", "the code that made it"),
    VALUE("repository", '\0', "URL", "where that code is"),
    UPLOAD_TIER,
    VALUE("idempotency-key", '\0', "KEY",
          "the same key and request are one version, ever"),
    VALUE("files", '\0', "LIST",
          "publish what was uploaded: lines \"SHA256  PATH\" as\n"
          "`strata upload` prints them, - is standard input"),
    FLAG("dry-run", 'n', "hash the files and show the request; send nothing"),
    JOBS,
    END,
};

static const char publish_details[] =
    "Sends what the server does not have and makes a version of it: all or nothing.\n"
    "Killed and started again, it goes on where it was. DIR may be a single file.\n"
    "\n"
    "Symbolic links are followed within DIR; one that leaves it is an error, and so "
    "is\n"
    "a file that changes meanwhile. DIR/.strataignore has a pattern a line: * ? [...]\n"
    "match within a name, ** stands for any folders, a pattern with a slash within\n"
    "counts from DIR, one without matches everywhere, a slash at the end matches\n"
    "folders only, ! brings back, # begins a comment. .git and .strataignore itself\n"
    "are left out.\n"
    "\n"
    "In a CI run (GitHub, GitLab, Jenkins, Buildkite) run, commit and repository come\n"
    "from its variables when they are not given, and a re-run with the same request "
    "is\n"
    "the same version.";

static const struct option_spec transfer_options[] = {JOBS, END};
static const struct option_spec upload_options[] = {UPLOAD_TIER, JOBS, END};

static const struct option_spec pin_options[] = {
    TIER,
    VALUE("until", '\0', "TIME",
          "when the pin ends, as 2027-01-31T00:00:00Z (default:\n"
          "when it is removed)"),
    END,
};

static const struct option_spec prefetch_options[] = {
    TIER,
    LIST("files", '\0', "PATTERN",
         "only paths that fit: * any characters, ? one;\nrepeatable"),
    WAIT,
    END,
};

static const struct option_spec moves_options[] = {
    VALUE("state", '\0', "STATE",
          "only those that are queued, copying, verifying, done,\n"
          "failed or cancelled"),
    END,
};

static const struct option_spec move_options[] = {TIER, WAIT, END};

static const struct option_spec rules_options[] = {
    FLAG("dry-run", 'n', "only say what the rules would do"),
    END,
};

static const struct option_spec gc_options[] = {
    FLAG("dry-run", 'n', "only say what would be deleted"),
    FLAG("wait", 'w', "until the run has ended, and say what it did"),
    END,
};

static const struct option_spec scrub_options[] = {
    VALUE("tier", 't', "TIER", "only copies on this tier: hot, warm or cold"),
    FLAG("wait", 'w', "until they were checked, and say what was found"),
    END,
};

static const char move_details[] =
    "A promotion adds copies and keeps those below; a demotion drops those above. The\n"
    "bytes stay there against rules and heat for a day (the server's `move_hold`). "
    "The\n"
    "moves go on in the server, whether --wait is given or not.";

static const struct option_spec pull_options[] = {
    LIST("include", '\0', "PATTERN",
         "only paths that match (as in .strataignore); repeatable"),
    LIST("exclude", '\0', "PATTERN", "no paths that match; repeatable"),
    JOBS,
    END,
};

static const char pull_details[] =
    "Every chunk is verified as it comes, and a file appears under its name only when\n"
    "it is whole and on disk. Files that are there already are verified and kept; "
    "others\n"
    "of the same name are replaced. Killed and started again, it goes on where it was\n"
    "(unfinished files are in DIR/.strata-partial). DIR is the model's name by "
    "default.";

static const struct option_spec cat_options[] = {
    VALUE("range", 'r', "A-B",
          "bytes A to B, both included, the first is 0;\nA- to the end, -N the last N"),
    VALUE(
        "tensor", 't', "NAME",
        "only this tensor of a safetensors file; --range counts\nfrom its first byte"),
    VALUE("output", 'o', "FILE", "write to FILE instead of standard output"),
    END,
};

static const struct option_spec decode_options[] = {
    VALUE("output", 'o', "FILE",
          "write to FILE, which appears under its name when it is\n"
          "whole, instead of standard output"),
    VALUE("jobs", 'j', "N", "threads (default: one a processor)"),
    END,
};

static const char decode_details[] =
    "FILE is an object of the cold tier in its encoding, from a bucket or a "
    "directory,\n"
    "brought here by any means; no server is asked. Each chunk is verified against "
    "the\n"
    "blob's SHA-256, which FILE names, before it is written. The format is described "
    "in\n"
    "docs/COLD-FORMAT.md. An object that is stored raw is the blob itself.";

static const struct option_spec rm_options[] = {
    FLAG("force", 'f', "although aliases or children hang on it"),
    END,
};

static const struct option_spec token_options[] = {
    VALUE("role", '\0', "ROLE", "reader (default), publisher, maintainer or admin"),
    VALUE("kind", '\0', "KIND", "of a new principal: service (default) or person"),
    VALUE("description", '\0', "TEXT", "what the token is for"),
    VALUE("expires", '\0', "TIME", "when it ends, as 2027-01-31T00:00:00Z"),
    END,
};

const struct command commands[] = {
    {"login", "URL", "Remember a server and a token",
     "The token is read from standard input unless --token-file is given, checked, "
     "and\n"
     "kept in $XDG_CONFIG_HOME/strata/config.json, readable by you only.",
     login_options, 1, 1, cmd_login},
    {"whoami", "", "Show who the token belongs to", NULL, NULL, 0, 0, cmd_whoami},
    {"publish", "DIR MODEL", "Publish a folder as a new version of a model",
     publish_details, publish_options, 1, 2, cmd_publish},
    {"upload", "FILE...", "Send files without publishing them",
     "Prints a line \"SHA256  PATH\" for each, for `strata publish --files`.",
     upload_options, 1, 100000, cmd_upload},
    {"pull", "REF [DIR]", "Bring a version's files into a folder", pull_details,
     pull_options, 1, 2, cmd_pull},
    {"ls", "[MODEL]", "List models, or a model's versions", NULL, NULL, 0, 1, cmd_ls},
    {"show", "REF", "Show a version", NULL, NULL, 1, 1, cmd_show},
    {"alias set", "REF ALIAS", "Point an alias to a version", NULL, NULL, 2, 2,
     cmd_alias_set},
    {"alias rm", "MODEL ALIAS", "Remove an alias", NULL, NULL, 2, 2, cmd_alias_rm},
    {"alias history", "MODEL ALIAS", "List where an alias pointed, newest first", NULL,
     NULL, 2, 2, cmd_alias_history},
    {"tensors", "REF", "List the tensors in a version's safetensors files",
     "A file whose header is malformed is told of on standard error, and with --json "
     "in\n"
     "the member `unreadable`.",
     NULL, 1, 1, cmd_tensors},
    {"cat", "REF PATH", "Write a file of a version to standard output",
     "The bytes are verified before they are written.", cat_options, 2, 2, cmd_cat},
    {"decode", "FILE", "Turn an object of the cold tier back into its blob",
     decode_details, decode_options, 1, 1, cmd_decode},
    {"verify", "REF | DIR REF", "Check every chunk of a version",
     "With REF alone, of what the server sends; with DIR as well, of the files there.",
     transfer_options, 1, 2, cmd_verify},
    {"tiers", "", "Show how full each tier is and what it serves", NULL, NULL, 0, 0,
     cmd_tiers},
    {"placements", "REF PATH | SHA256", "Say where a file lies, why, and what is next",
     NULL, NULL, 1, 2, cmd_placements},
    {"pin", "REF | SHA256", "Keep a version or a blob on a tier",
     "The moves begin at once. An alias is resolved now: the pin stays with the "
     "version.",
     pin_options, 1, 1, cmd_pin},
    {"pin ls", "", "List pins", NULL, NULL, 0, 0, cmd_pin_ls},
    {"pin rm", "ID", "Remove a pin", NULL, NULL, 1, 1, cmd_pin_rm},
    {"prefetch", "REF", "Bring a version to a tier now",
     "In the order in which a loader reads the files. Nothing is held there; a pin "
     "does "
     "that.",
     prefetch_options, 1, 1, cmd_prefetch},
    {"moves", "[ls]", "List moves, newest first", NULL, moves_options, 0, 1, cmd_moves},
    {"moves show", "ID", "Show a move", NULL, NULL, 1, 1, cmd_moves_show},
    {"moves cancel", "ID", "Cancel a move", NULL, NULL, 1, 1, cmd_moves_cancel},
    {"moves start", "REF | SHA256", "Move a version or a blob to a tier by hand",
     move_details, move_options, 1, 1, cmd_moves_start},
    {"tier-rules get", "", "Print the tier rules, as `tier-rules set` takes them", NULL,
     NULL, 0, 0, cmd_tier_rules_get},
    {"tier-rules set", "FILE", "Replace the tier rules by those in FILE",
     "FILE is JSON, - is standard input.", rules_options, 1, 1, cmd_tier_rules_set},
    {"tier-rules history", "", "List the rules there were, newest first", NULL, NULL, 0,
     0, cmd_tier_rules_history},
    {"gc", "", "Delete what nothing names any more",
     "The server does so by itself each hour. Deleted versions that are past their "
     "date "
     "are\npurged, blobs that neither a version nor a live lease names are deleted "
     "with "
     "their files.",
     gc_options, 0, 0, cmd_gc},
    {"scrub", "", "Show what the scrub checks and has found", NULL, NULL, 0, 0,
     cmd_scrub},
    {"scrub start", "[SHA256]", "Check a blob's copies now, or all",
     "The server does so by itself within `scrub_interval`, no faster than\n"
     "`scrub_bandwidth`. A bad copy is made again from a good one; --wait ends with "
     "the\n"
     "status of damaged bytes when there are copies that could not be.",
     scrub_options, 0, 1, cmd_scrub_start},
    {"tokens ls", "", "List tokens", NULL, NULL, 0, 0, cmd_tokens_ls},
    {"tokens create", "PRINCIPAL", "Create a token, whose secret is shown this once",
     NULL, token_options, 1, 1, cmd_tokens_create},
    {"tokens revoke", "ID", "Revoke a token", NULL, NULL, 1, 1, cmd_tokens_revoke},
    {"rm", "REF", "Delete a version, which can be restored for some days",
     "REF names the version: by number, alias, digest or @latest.", rm_options, 1, 1,
     cmd_rm},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};
