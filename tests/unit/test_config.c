// SPDX-License-Identifier: Apache-2.0
#include "common/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

#define LOAD(config, e, ...)                                                           \
    load(config, e, (char *[]){(char[]){"stratad"}, __VA_ARGS__, NULL})
#define A(text) ((char[]){text})

static enum err load(struct config **config, struct error *e, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    return config_load(argc, argv, config, e);
}

// A file that goes with the scope.
struct file {
    char path[64];
};

static struct file file_with(const char *text)
{
    struct file file = {"/tmp/strata-config-XXXXXX"};
    int fd = mkstemp(file.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return file;
}

static void file_remove(struct file *file)
{
    unlink(file->path);
}

static void assert_refused(const char *text, const char *where, const char *detail)
{
    CLEANUP(file_remove) struct file file = file_with(text);
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    assert_int_equal(LOAD(&config, &e, A("--config"), file.path), ERR_BAD_REQUEST);
    assert_null(config);
    size_t length = strlen(file.path);
    assert_memory_equal(e.detail, file.path, length);
    assert_memory_equal(e.detail + length, where, strlen(where));
    if (strstr(e.detail, detail) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", detail, e.detail);
}

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    CLEANUP(config_free_at) struct config *config = NULL;
    assert_int_equal(LOAD(&config, NULL, A("--data"), A("/d")), ERR_NONE);
    assert_int_equal(config->action, CONFIG_SERVE);
    assert_string_equal(config->data, "/d");
    assert_string_equal(config->database_url, "");
    assert_int_equal(config->connections, 1024);
    assert_int_equal(config->connection_memory, 48 << 10);
    assert_int_equal(config->idle_timeout_ms, 75000);
    assert_int_equal(config->max_blob_size, 1LL << 40);
    assert_int_equal(config->upload_expiry_ms, 7LL * 24 * 3600 * 1000);
    assert_true(config->database_fsync);
}

static void the_command_line_wins_over_the_file(void **state)
{
    (void)state;
    CLEANUP(file_remove)
    struct file file = file_with("# comment\ndata = /file\nconnections = 7 ; inline\n"
                                 "idle_timeout = 5m\nmax_blob_size=2G\n");
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    assert_int_equal(LOAD(&config, &e, A("--max-blob-size=3K"), A("--config"),
                          file.path, A("--idle_timeout"), A("250s")),
                     ERR_NONE);
    assert_string_equal(config->data, "/file");
    assert_int_equal(config->connections, 7);
    assert_int_equal(config->idle_timeout_ms, 250000);
    assert_int_equal(config->max_blob_size, 3072);
    assert_string_equal(config->file, file.path);
}

static void sizes_and_durations_have_units(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(config_parse_size("0", &bytes));
    assert_int_equal(bytes, 0);
    assert_true(config_parse_size("3G", &bytes));
    assert_int_equal(bytes, 3LL << 30);
    const char *bad_sizes[] = {"", "K", "1k", "1KB", "-1", " 1", "1.5G", "8388608T",
                               "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++)
        assert_false(config_parse_size(bad_sizes[i], &bytes));
    int64_t ms = 0;
    assert_true(config_parse_duration("90ms", &ms));
    assert_int_equal(ms, 90);
    assert_true(config_parse_duration("2h", &ms));
    assert_int_equal(ms, 7200000);
    assert_true(config_parse_duration("0", &ms));
    assert_int_equal(ms, 0);
    const char *bad_times[] = {"", "5", "s", "5S", "-5s", "5 s", "200000000000d"};
    for (size_t i = 0; i < ARRAY_SIZE(bad_times); i++)
        assert_false(config_parse_duration(bad_times[i], &ms));
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    (void)state;
    assert_refused("data = /d\nnonsense = 1\n", ":2: ", "nonsense");
    assert_refused("data = /d\n\n\nconnections = many\n", ":4: ", "\"many\"");
    assert_refused("connections = 1\n", ":1: ", "outside 4 to 100000");
    assert_refused("lease = 5\n", ":1: ", "30s");
    assert_refused("data = /d\ndata = /e\n", ":2: ", "twice");
    assert_refused("[http]\nlisten = 127.0.0.1:0\n", ":2: ", "[http]");
    assert_refused("data = /d\nlisten\n", ":2: ", "name = value");
    assert_refused("s3_style = host\n", ":1: ", "path or virtual");
    assert_refused("log_level = loud\n", ":1: ", "debug, info, warn or error");
    assert_refused("database_fsync = yes\n", ":1: ", "true or false");
    char line[512] = "data = ";
    memset(line + 7, 'x', sizeof line - 8);
    assert_refused(line, ":1: ", "longer");
}

static void a_missing_file_is_refused(void **state)
{
    (void)state;
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    assert_int_equal(LOAD(&config, &e, A("--config"), A("/nowhere/strata.conf")),
                     ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "/nowhere/strata.conf: No such file"));
}

static void a_bad_command_line_is_refused(void **state)
{
    (void)state;
    CLEANUP(config_free_at) struct config *config = NULL;
    struct error e = {0};
    assert_int_equal(LOAD(&config, &e, A("--nothing"), A("1")), ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "--nothing"));
    assert_int_equal(LOAD(&config, &e, A("--data")), ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "needs a value"));
    assert_int_equal(LOAD(&config, &e, A("/d")), ERR_BAD_REQUEST);
    assert_int_equal(LOAD(&config, &e, A("--data=/d"), A("--data=/e")),
                     ERR_BAD_REQUEST);
    assert_int_equal(LOAD(&config, &e, A("--listen"), A("x:1")), ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "--data DIR"));
    assert_int_equal(LOAD(&config, &e, A("--data=/d"), A("--s3-bucket=b")),
                     ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "go together"));
    assert_int_equal(LOAD(&config, &e, A("--data=/d"), A("--hot-low-mark=95")),
                     ERR_BAD_REQUEST);
    assert_non_null(strstr(e.detail, "hot_low_mark is above"));
    assert_null(config);
}

static void actions_need_no_data(void **state)
{
    (void)state;
    CLEANUP(config_free_at) struct config *config = NULL;
    assert_int_equal(LOAD(&config, NULL, A("--print-routes")), ERR_NONE);
    assert_int_equal(config->action, CONFIG_PRINT_ROUTES);
}

static void note(const char *name, bool reload, void *context)
{
    char *text = context;
    strcat(text, name);
    strcat(text, reload ? "+ " : " ");
}

static void changes_are_told_apart(void **state)
{
    (void)state;
    CLEANUP(config_free_at) struct config *a = NULL;
    CLEANUP(config_free_at) struct config *b = NULL;
    assert_int_equal(LOAD(&a, NULL, A("--data=/d")), ERR_NONE);
    assert_int_equal(LOAD(&b, NULL, A("--data=/d"), A("--log_level=debug"),
                          A("--connections=5")),
                     ERR_NONE);
    char text[256] = "";
    config_compare(a, b, note, text);
    assert_string_equal(text, "connections log_level+ ");
}

static void help_and_reference_name_every_option_but_hidden_ones(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print_help(out);
    config_print_markdown(out);
    fclose(out);
    assert_non_null(strstr(text, "--max-blob-size SIZE  (1T)"));
    assert_non_null(strstr(text, "| `max_blob_size` | SIZE | `1T` |"));
    assert_null(strstr(text, "fsync"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(the_command_line_wins_over_the_file),
        cmocka_unit_test(sizes_and_durations_have_units),
        cmocka_unit_test(a_bad_file_is_refused_with_its_line),
        cmocka_unit_test(a_missing_file_is_refused),
        cmocka_unit_test(a_bad_command_line_is_refused),
        cmocka_unit_test(actions_need_no_data),
        cmocka_unit_test(changes_are_told_apart),
        cmocka_unit_test(help_and_reference_name_every_option_but_hidden_ones),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
