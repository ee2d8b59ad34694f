// SPDX-License-Identifier: Apache-2.0
#include "server/api/publish_parse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FILE_OF(path) "{\"path\":\"" path "\",\"sha256\":\"" A64 "\"}"
#define ONE_FILE "\"files\":[" FILE_OF("a") "]"

static json_t *load(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void expect(const char *text, enum err expected, const char *field)
{
    AUTO_JSON json_t *body = load(text);
    CLEANUP(publish_request_clear) struct publish_request request = {0};
    struct error e = {0};
    assert_int_equal(publish_parse(body, &request, &e), expected);
    assert_string_equal(e.field, field);
    error_clear(&e);
}

static void a_whole_request(void **state)
{
    (void)state;
    AUTO_JSON json_t *body = load(
        "{\"files\":[" FILE_OF("b") "," FILE_OF("a-b") "," FILE_OF("a/c") "],"
        "\"parents\":[{\"ref\":\"o/m@prod\",\"relation\":\"merge\"},"
        "{\"uri\":\"hf:x/y\",\"relation\":\"adapter\"}],"
        "\"datasets\":[{\"uri\":\"s3://x\"}],\"run\":{\"id\":\"7\"},"
        "\"code\":{\"repository\":\"r\",\"commit\":\"c\"},\"params\":{\"n\":1},"
        "\"metrics\":{\"i\":9007199254740993,\"bad\":\"-Infinity\"},"
        "\"tags\":{\"k\":\"v\"},\"description\":\"d\\n\",\"aliases\":[\"prod\"],"
        "\"idempotency_key\":\"k\"}");
    CLEANUP(publish_request_clear) struct publish_request request = {0};
    struct error e = {0};
    assert_int_equal(publish_parse(body, &request, &e), ERR_NONE);
    const struct publish *publish = &request.publish;
    assert_int_equal(publish->files_count, 3);
    assert_string_equal(publish->files[0].path, "a-b");
    assert_string_equal(publish->files[1].path, "a/c");
    assert_string_equal(publish->files[2].path, "b");
    assert_int_equal(publish->origins.parents_count, 2);
    assert_int_equal(publish->origins.parents[0].ref.kind, REF_ALIAS);
    assert_false(publish->origins.code->dirty);
    assert_string_equal(publish->idempotency_key, "k");
    // Metrics are doubles, whole numbers too; params keep their type.
    assert_true(json_is_real(json_object_get(publish->origins.metrics, "i")));
    assert_true(json_is_integer(json_object_get(publish->origins.params, "n")));
}

static void paths_that_exclude_each_other(void **state)
{
    (void)state;
    expect("{\"files\":[" FILE_OF("a") "," FILE_OF("a") "]}", ERR_PATH_CONFLICT,
           "files[1].path");
    expect("{\"files\":[" FILE_OF("a/b") "," FILE_OF("a-x") "," FILE_OF("a") "]}",
           ERR_PATH_CONFLICT, "files[2].path");
    expect("{\"files\":[" FILE_OF("a") "," FILE_OF("a!") "," FILE_OF("a/b/c") "]}",
           ERR_PATH_CONFLICT, "files[2].path");
    expect("{\"files\":[" FILE_OF("a/b") "," FILE_OF("a/b/c") "," FILE_OF("a/a") "]}",
           ERR_PATH_CONFLICT, "files[1].path");
    expect("{\"files\":[" FILE_OF("a") "," FILE_OF("ab/c") "," FILE_OF("A/b") "]}",
           ERR_NONE, "");
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        const char *field;
    } table[] = {
        {"{}", ERR_INVALID_FIELD, "files"},
        {"{\"files\":[]}", ERR_INVALID_FIELD, "files"},
        {"{\"files\":{}}", ERR_INVALID_FIELD, "files"},
        {"{\"files\":[1]}", ERR_INVALID_FIELD, "files[0]"},
        {"{\"files\":[{\"path\":\"a\"}]}", ERR_INVALID_FIELD, "files[0].sha256"},
        {"{\"files\":[{\"path\":\"a\",\"sha256\":\"A\"}]}", ERR_INVALID_FIELD,
         "files[0].sha256"},
        {"{\"files\":[" FILE_OF("../a") "]}", ERR_INVALID_PATH, "files[0].path"},
        {"{\"files\":[{\"path\":\"a\",\"sha256\":\"" A64 "\",\"media_type\":\"x\"}]}",
         ERR_INVALID_FIELD, "files[0].media_type"},
        {"{\"files\":[{\"path\":\"a\",\"sha256\":\"" A64 "\",\"size\":1}]}",
         ERR_UNKNOWN_FIELD, "files[0].size"},
        {"{" ONE_FILE ",\"metric\":{}}", ERR_UNKNOWN_FIELD, "metric"},
        {"{" ONE_FILE ",\"parents\":[{\"relation\":\"merge\"}]}", ERR_INVALID_FIELD,
         "parents[0].ref"},
        {"{" ONE_FILE ",\"parents\":[{\"ref\":\"a/b\",\"uri\":\"x\","
         "\"relation\":\"merge\"}]}",
         ERR_INVALID_FIELD, "parents[0].ref"},
        {"{" ONE_FILE ",\"parents\":[{\"ref\":\"a/b@\",\"relation\":\"merge\"}]}",
         ERR_INVALID_NAME, "parents[0].ref"},
        {"{" ONE_FILE ",\"parents\":[{\"uri\":\"x\",\"relation\":\"copy\"}]}",
         ERR_INVALID_FIELD, "parents[0].relation"},
        {"{" ONE_FILE ",\"datasets\":[{\"uri\":\"\"}]}", ERR_INVALID_FIELD,
         "datasets[0].uri"},
        {"{" ONE_FILE ",\"datasets\":[{\"uri\":\"x\",\"sha256\":\"1\"}]}",
         ERR_INVALID_FIELD, "datasets[0].sha256"},
        {"{" ONE_FILE ",\"run\":{}}", ERR_INVALID_FIELD, "run.id"},
        {"{" ONE_FILE ",\"code\":{\"repository\":\"r\"}}", ERR_INVALID_FIELD,
         "code.commit"},
        {"{" ONE_FILE ",\"code\":{\"repository\":\"r\",\"commit\":\"c\",\"dirty\":1}}",
         ERR_INVALID_FIELD, "code.dirty"},
        {"{" ONE_FILE ",\"params\":{\"a\":[]}}", ERR_INVALID_FIELD, "params.a"},
        {"{" ONE_FILE ",\"params\":{\"a\":null}}", ERR_INVALID_FIELD, "params.a"},
        {"{" ONE_FILE ",\"metrics\":{\"a\":\"nan\"}}", ERR_INVALID_FIELD, "metrics.a"},
        {"{" ONE_FILE ",\"metrics\":{\"\":1}}", ERR_INVALID_FIELD, "metrics."},
        {"{" ONE_FILE ",\"tags\":{\"a\":1}}", ERR_INVALID_FIELD, "tags.a"},
        {"{" ONE_FILE ",\"tags\":{\"a\":null}}", ERR_INVALID_FIELD, "tags.a"},
        {"{" ONE_FILE ",\"description\":\"\\u0001\"}", ERR_INVALID_FIELD,
         "description"},
        {"{" ONE_FILE ",\"aliases\":[\"latest\"]}", ERR_INVALID_NAME, "aliases[0]"},
        {"{" ONE_FILE ",\"aliases\":[\"a\",\"a\"]}", ERR_INVALID_FIELD, "aliases[1]"},
        {"{" ONE_FILE ",\"aliases\":[7]}", ERR_INVALID_FIELD, "aliases[0]"},
        {"{" ONE_FILE ",\"idempotency_key\":\"\"}", ERR_INVALID_FIELD,
         "idempotency_key"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        expect(table[i].text, table[i].err, table[i].field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request),
        cmocka_unit_test(paths_that_exclude_each_other),
        cmocka_unit_test(wrong_fields_are_named),
    };
    return cmocka_run_group_tests_name("publish_parse", tests, NULL, NULL);
}
