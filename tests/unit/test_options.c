// SPDX-License-Identifier: Apache-2.0
// The command line: options, origins and ranges.
#include "client/cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/origins.h"
#include "client/cli/byte_range.h"

#define WORDS 32

// Parses a command line of words that spaces separate.
static enum strata_status parse(char *line, struct invocation *invocation,
                                struct strata_error *e)
{
    static char *argv[WORDS];
    int argc = 0;
    for (char *word = strtok(line, " "); word != NULL && argc < WORDS - 1;
         word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    int words = 0;
    const struct command *command = command_find(argc, argv, &words);
    assert_non_null(command);
    return invocation_parse(invocation, command, argc - words + 1, argv + words - 1, e);
}

static void options_and_arguments_in_any_order(void **state)
{
    (void)state;
    char line[] = "publish dir --metric a=1 -j 8 ns/m --metric=b=2 --json";
    struct invocation invocation;
    struct strata_error e = {0};
    assert_int_equal(parse(line, &invocation, &e), STRATA_OK);
    assert_string_equal(invocation.command->name, "publish");
    assert_int_equal(invocation.argument_count, 2);
    assert_string_equal(invocation.arguments[0], "dir");
    assert_string_equal(invocation.arguments[1], "ns/m");
    assert_true(option_given(&invocation, "json"));
    assert_false(option_given(&invocation, "dry-run"));
    const char **metrics = option_values(&invocation, "metric");
    assert_string_equal(metrics[0], "a=1");
    assert_string_equal(metrics[1], "b=2");
    assert_null(metrics[2]);
    free(metrics);
    long jobs = 0;
    assert_int_equal(option_number(&invocation, "jobs", 1, 64, 4, &jobs, &e),
                     STRATA_OK);
    assert_int_equal(jobs, 8);
    invocation_clear(&invocation);
}

static void commands_of_two_words(void **state)
{
    (void)state;
    char line[] = "alias set ns/m@1 prod";
    struct invocation invocation;
    struct strata_error e = {0};
    assert_int_equal(parse(line, &invocation, &e), STRATA_OK);
    assert_string_equal(invocation.command->name, "alias set");
    assert_int_equal(invocation.argument_count, 2);
    invocation_clear(&invocation);
    char first[] = "alias", second[] = "move";
    char *unknown[] = {first, second, NULL};
    int words;
    assert_null(command_find(2, unknown, &words));
}

static void refused(const char *text)
{
    char line[128];
    strcpy(line, text);
    struct invocation invocation;
    struct strata_error e = {0};
    if (parse(line, &invocation, &e) != STRATA_USAGE)
        fail_msg("not refused: %s", text);
    assert_true(strlen(e.detail) > 0);
    invocation_clear(&invocation);
}

static void bad_command_lines_are_refused(void **state)
{
    (void)state;
    refused("pull");
    refused("pull a b c");
    refused("pull a --nothing");
    refused("pull a --jobs");
    refused("cat ns/m f --range 1-2 --range 3-4");
    refused("whoami too-much");
}

static void jobs_must_be_a_number(void **state)
{
    (void)state;
    const char *const lines[] = {"pull a -j 0", "pull a -j x", "pull a -j 65",
                                 "pull a -j 4x"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[64];
        strcpy(line, lines[i]);
        struct invocation invocation;
        struct strata_error e = {0};
        long jobs;
        assert_int_equal(parse(line, &invocation, &e), STRATA_OK);
        assert_int_equal(option_number(&invocation, "jobs", 1, 64, 4, &jobs, &e),
                         STRATA_USAGE);
        invocation_clear(&invocation);
    }
}

// Every option stands in the help of its command, and the help of each has all of it.
static void help_names_every_option(void **state)
{
    (void)state;
    for (const struct command *c = commands; c->name != NULL; c++) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        help_command(c, file);
        fclose(file);
        assert_non_null(strstr(text, c->summary));
        assert_non_null(strstr(text, "--json"));
        assert_non_null(strstr(text, "Exit status:"));
        for (const struct option_spec *o = c->options; o != NULL && o->name != NULL;
             o++)
            assert_non_null(strstr(text, o->name));
        free(text);
    }
}

static json_t *origins_of(const char *text, enum strata_status wanted)
{
    char line[256];
    strcpy(line, text);
    struct invocation invocation;
    struct strata_error e = {0};
    json_t *origins = NULL;
    assert_int_equal(parse(line, &invocation, &e), STRATA_OK);
    if (origins_read(&invocation, &origins, &e) != wanted)
        fail_msg("%s", text);
    invocation_clear(&invocation);
    return origins;
}

static void equals(json_t *got, const char *wanted)
{
    json_t *json = json_loads(wanted, 0, NULL);
    assert_non_null(json);
    char *text = json_dumps(got, 0);
    if (!json_equal(got, json))
        fail_msg("%s is not %s", text, wanted);
    free(text);
    json_decref(json);
    json_decref(got);
}

static void origins_become_a_request(void **state)
{
    (void)state;
    equals(origins_of("publish d ns/m", STRATA_OK), "{}");
    equals(origins_of("publish d ns/m --parent ns/p@3:fine-tune "
                      "--parent hf:org/name@main:quantize --dataset s3://b/d",
                      STRATA_OK),
           "{\"parents\":[{\"ref\":\"ns/p@3\",\"relation\":\"fine-tune\"},"
           "{\"uri\":\"hf:org/name@main\",\"relation\":\"quantize\"}],"
           "\"datasets\":[{\"uri\":\"s3://b/d\"}]}");
    equals(origins_of("publish d ns/m --metric a=0.5 --metric b=nan --metric c=-inf "
                      "--param e=3 --param r=2e-5 --param p=bf16 --param t=true",
                      STRATA_OK),
           "{\"metrics\":{\"a\":0.5,\"b\":\"NaN\",\"c\":\"-Infinity\"},"
           "\"params\":{\"e\":3,\"r\":2e-5,\"p\":\"bf16\",\"t\":true}}");
    equals(origins_of("publish d ns/m --tag k=v=w --alias prod --description x "
                      "--run-url u --commit c --repository r",
                      STRATA_OK),
           "{\"tags\":{\"k\":\"v=w\"},\"aliases\":[\"prod\"],\"description\":\"x\","
           "\"run\":{\"url\":\"u\"},\"code\":{\"commit\":\"c\",\"repository\":\"r\"}}");
    origins_of("publish d ns/m --metric a", STRATA_USAGE);
    origins_of("publish d ns/m --metric a=b", STRATA_USAGE);
    origins_of("publish d ns/m --metric =1", STRATA_USAGE);
    origins_of("publish d ns/m --tag a=1 --tag a=2", STRATA_USAGE);
    origins_of("publish d ns/m --parent ns/p@3", STRATA_USAGE);
    origins_of("publish d ns/m --parent nothing:merge", STRATA_USAGE);
}

static void ranges(void **state)
{
    (void)state;
    struct byte_range range;
    assert_true(byte_range_parse("0-0", &range));
    assert_int_equal(range.offset, 0);
    assert_int_equal(range.length, 1);
    assert_true(byte_range_parse("10-19", &range));
    assert_int_equal(range.offset, 10);
    assert_int_equal(range.length, 10);
    assert_true(byte_range_parse("7-", &range));
    assert_int_equal(range.offset, 7);
    assert_true(range.length == UINT64_MAX);
    assert_true(byte_range_parse("-5", &range));
    assert_int_equal(range.offset, -5);
    const char *const bad[] = {"",    "-",    "5",    "5-4",  "a-b",
                               "-0",  "1-2x", "+1-2", " 1-2", "99999999999999999999-",
                               "0--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(byte_range_parse(bad[i], &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_in_any_order),
        cmocka_unit_test(commands_of_two_words),
        cmocka_unit_test(bad_command_lines_are_refused),
        cmocka_unit_test(jobs_must_be_a_number),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(origins_become_a_request),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
