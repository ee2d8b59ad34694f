// SPDX-License-Identifier: Apache-2.0
// The configuration file and the command line of stratad. Input: the arguments, a line
// each, up to an empty line; then the file.
// Parser: common/config.c: same_name parse_number config_parse_size
// Parser: common/config.c: config_parse_duration parse_bool refuse check_bounds
// Parser: common/config.c: set_text set_value read_line file_fails take_line load_file
// Parser: common/config.c: take_option take_action take_argument set_defaults
// Parser: common/config.c: config_load config_free
// Options: -max_len=1024
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAXIMUM 16

static int fd = -1; // the file; it has no name
static char path[64];
static char program[] = "stratad";
static char option[] = "--config";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fd = memfd_create("config", 0);
    REQUIRE(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return 0;
}

static void fill_file(const char *text, size_t size)
{
    REQUIRE(ftruncate(fd, 0) == 0);
    REQUIRE(pwrite(fd, text, size, 0) == (ssize_t)size);
}

static void differ(const char *name, bool reload, void *context)
{
    (void)reload;
    (void)context;
    fprintf(stderr, "%s\n", name);
    REQUIRE(!"an option is the same when it is read again");
}

static void put_text(struct buf *to, const char *name, char *const *value)
{
    buf_printf(to, "%s=%s\n", name, *value);
}

static void put_int(struct buf *to, const char *name, const int64_t *value)
{
    buf_printf(to, "%s=%" PRId64 "\n", name, *value);
}

static void put_duration(struct buf *to, const char *name, const int64_t *value)
{
    buf_printf(to, "%s=%" PRId64 "ms\n", name, *value);
}

static void put_size(struct buf *to, const char *name, const uint64_t *value)
{
    buf_printf(to, "%s=%" PRIu64 "\n", name, *value);
}

static void put_bool(struct buf *to, const char *name, const bool *value)
{
    buf_printf(to, "%s=%s\n", name, *value ? "true" : "false");
}

#define PUT_TEXT put_text
#define PUT_INT put_int
#define PUT_DURATION put_duration
#define PUT_SIZE put_size
#define PUT_BOOL put_bool

static void check_bounds(int64_t value, int64_t least, int64_t most)
{
    REQUIRE(value >= least && value <= most);
}

#define CHECK_TEXT(value, least, most) REQUIRE((value) != NULL)
#define CHECK_BOOL(value, least, most) (void)(value)
#define CHECK_INT(value, least, most) check_bounds(value, least, most)
#define CHECK_DURATION(value, least, most) check_bounds(value, least, most)
#define CHECK_SIZE(value, least, most) check_bounds((int64_t)(value), least, most)

// Written out as a file and read again it is the same.
static void check_config(const struct config *config)
{
    CLEANUP(buf_clear) struct buf file = {0};
#define X(kind, field, name, fallback, least, most, ...)                               \
    CHECK_##kind(config->field, least, most);                                          \
    PUT_##kind(&file, name, &config->field);
#include "common/config.def"
#undef X
    fill_file(buf_text(&file), file.size);
    char *argv[] = {program, option, path, NULL};
    CLEANUP(config_free_at) struct config *again = NULL;
    struct error e = {0};
    REQUIRE(config_load(3, argv, &again, &e) == ERR_NONE);
    config_compare(config, again, differ, NULL);
}

// Splits the arguments off; what follows is the file.
static char *split(char *text, char **argv, int *argc)
{
    while (*text != '\0' && *text != '\n' && *argc < ARGUMENTS_MAXIMUM) {
        argv[(*argc)++] = text;
        text += strcspn(text, "\n");
        if (*text == '\n')
            *text++ = '\0';
    }
    return text + (*text == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    char *argv[ARGUMENTS_MAXIMUM + 3] = {program};
    int argc = 1;
    const char *file = split(text, argv, &argc);
    // Files of this machine are none of a fuzzer's business.
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--config", 8) == 0)
            return 0;
    }
    bool from_file = file < text + length;
    if (from_file) {
        fill_file(file, (size_t)(text + length - file));
        argv[argc++] = option;
        argv[argc++] = path;
    }
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    enum err err = config_load(argc, argv, &config, &e);
    REQUIRE(err == e.code && (err == ERR_NONE) == (config != NULL));
    if (err != ERR_NONE) {
        REQUIRE(err == ERR_BAD_REQUEST && e.detail[0] != '\0');
        return 0;
    }
    // An argument may hold what a file cannot, as a text that ends in a space.
    if (argc == 3 && from_file && config->action == CONFIG_SERVE)
        check_config(config);
    return 0;
}
