// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/load/http.h"
#include "tests/bench/load/load.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bench-load get ADDRESS:PORT PATH [--streams N] [--seconds S] [--rate R]\n"
    "           [--count N] [--file-size B --range-size B] [--header LINE]...\n"
    "       bench-load put ADDRESS:PORT PATH --file FILE [--streams N]\n"
    "           [--part-size B] [--first N] [--method M] [--header LINE]...\n";

static const struct option options[] = {
    {"streams", required_argument, NULL, 's'},
    {"seconds", required_argument, NULL, 't'},
    {"rate", required_argument, NULL, 'r'},
    {"count", required_argument, NULL, 'c'},
    {"file-size", required_argument, NULL, 'S'},
    {"range-size", required_argument, NULL, 'R'},
    {"header", required_argument, NULL, 'H'},
    {"file", required_argument, NULL, 'f'},
    {"part-size", required_argument, NULL, 'p'},
    {"first", required_argument, NULL, 'n'},
    {"method", required_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static void add_header(struct load *load, const char *line)
{
    size_t used = strlen(load->headers);
    size_t left = sizeof(load->headers) - used;
    if ((size_t)snprintf(load->headers + used, left, "%s\r\n", line) >= left) {
        die("the headers are too long");
    }
}

static void set_option(struct load *load, int option, const char *value)
{
    switch (option) {
    case 's': load->streams = atoi(value); break;
    case 't': load->seconds = atof(value); break;
    case 'r': load->rate = atof(value); break;
    case 'c': load->count = atoll(value); break;
    case 'S': load->file_size = atoll(value); break;
    case 'R': load->range_size = atoll(value); break;
    case 'H': add_header(load, value); break;
    case 'f': load->file = value; break;
    case 'p': load->part_size = atoll(value); break;
    case 'n': load->first_part = atoi(value); break;
    case 'm': load->method = value; break;
    default: die("%s", usage);
    }
}

void load_path(const struct load *load, int64_t number, char *path, size_t size)
{
    const char *mark = strstr(load->path, "{}");
    int length = mark == NULL
        ? snprintf(path, size, "%s", load->path)
        : snprintf(path, size, "%.*s%lld%s", (int)(mark - load->path), load->path,
                   (long long)number, mark + 2);
    if (length < 0 || (size_t)length >= size) {
        die("the path is too long");
    }
}

int main(int argc, char **argv)
{
    struct load load = {.method = "PUT", .streams = 1, .seconds = 3, .count = 1};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        set_option(&load, option, optarg);
    }
    if (argc - optind != 3 || load.streams < 1 || load.count < 1) {
        die("%s", usage);
    }
    load.address = argv[optind + 1];
    load.path = argv[optind + 2];
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[optind], "get") == 0) {
        load_get(&load);
    } else if (strcmp(argv[optind], "put") == 0 && load.file != NULL) {
        load_put(&load);
    } else {
        die("%s", usage);
    }
    return 0;
}
