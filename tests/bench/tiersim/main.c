// SPDX-License-Identifier: Apache-2.0
// Replays made-up traces through the policy of server/policy and prints how it does.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "tests/bench/tiersim/report.h"

static const char usage[] =
    "usage: tiersim [OPTION...] [-- STRATAD-OPTION...]\n"
    "  --models N  of the registry at the beginning (200)\n"
    "  --days N    that pass, the first quarter of which does not count (40)\n"
    "  --seeds N   means of so many traces (3)\n"
    "  --hot X, --warm X  sizes of the tiers, as shares of all bytes (0.1, 0.3)\n"
    "  --trace NAME  this one alone\n"
    "  --sweep     one option after the other with several values, means of all "
    "traces\n"
    "Options of stratad, as --heat-half-life=1d, are those of the policy that is "
    "tried.\n";

static void refuse(void)
{
    fputs(usage, stderr);
    exit(2);
}

// True: a sweep.
static bool parse(int argc, char **argv, struct report_options *options)
{
    enum { MODELS, DAYS, SEEDS, HOT, WARM, TRACE, SWEEP, HELP };
    static const struct option names[] = {
        {"models", required_argument, NULL, MODELS},
        {"days", required_argument, NULL, DAYS},
        {"seeds", required_argument, NULL, SEEDS},
        {"hot", required_argument, NULL, HOT},
        {"warm", required_argument, NULL, WARM},
        {"trace", required_argument, NULL, TRACE},
        {"sweep", no_argument, NULL, SWEEP},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    bool is_sweep = false;
    for (int name; (name = getopt_long(argc, argv, "+", names, NULL)) != -1;) {
        switch (name) {
        case MODELS:
            options->models = atoi(optarg);
            break;
        case DAYS:
            options->days = atoi(optarg);
            break;
        case SEEDS:
            options->seeds = atoi(optarg);
            break;
        case HOT:
            options->hot = atof(optarg);
            break;
        case WARM:
            options->warm = atof(optarg);
            break;
        case TRACE:
            options->trace = optarg;
            break;
        case SWEEP:
            is_sweep = true;
            break;
        case HELP:
            fputs(usage, stdout);
            exit(0);
        default:
            refuse();
        }
    }
    // Traces need some models and days to be what they are called.
    if (options->models < 30 || options->days < 8 || options->seeds < 1 ||
        options->hot <= 0 || options->warm <= 0)
        refuse();
    return is_sweep;
}

int main(int argc, char **argv)
{
    struct report_options options = {
        .models = 200, .days = 40, .seeds = 3, .hot = 0.1, .warm = 0.3};
    bool is_sweep = parse(argc, argv, &options);
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    // What is left goes to stratad's parser, which wants a directory and uses none.
    AUTO_FREE char **left = alloc_array((size_t)argc + 3, sizeof *left);
    int count = 0;
    char data[] = "--data=.";
    left[count++] = argv[0];
    left[count++] = data;
    while (optind < argc)
        left[count++] = argv[optind++];
    if (config_load(count, left, &config, &e) != ERR_NONE) {
        fprintf(stderr, "tiersim: %s\n", e.detail);
        return 2;
    }
    options.config = config;
    if (is_sweep)
        report_sweep(&options);
    else
        report_compare(&options);
    return 0;
}
