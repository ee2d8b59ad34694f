// SPDX-License-Identifier: Apache-2.0
#include "server/registry/manifest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/registry/content.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct digest digest_from(const char *hex)
{
    struct digest digest;
    assert_true(digest_parse(hex, &digest));
    return digest;
}

static void empty_origins(void **state)
{
    (void)state;
    struct origins origins = {0};
    AUTO_FREE char *text = origins_text(&origins);
    assert_string_equal(text, "{\"parents\":[],\"datasets\":[],\"run\":null,"
                              "\"code\":null,\"params\":{},\"metrics\":{}}");
}

static const char golden[] =
    "{\"model\":\"nlp/minilm\",\"version\":2,\"created_at\":\"2026-03-02T09:30:00.000001Z\","
    "\"files\":["
    "{\"path\":\"a \\\"b\\\".txt\",\"size\":4,\"sha256\":\"" A64 "\","
    "\"chain_root\":\"" B64 "\"},"
    "{\"path\":\"config.json\",\"size\":0,\"sha256\":\"" B64 "\","
    "\"chain_root\":\"" A64 "\",\"media_type\":\"application/json\"}],"
    "\"parents\":[{\"ref\":\"nlp/base@7\",\"digest\":\"sha256:" A64 "\","
    "\"relation\":\"fine-tune\"},"
    "{\"uri\":\"hf:org/name@main\",\"relation\":\"merge\"}],"
    "\"datasets\":[{\"uri\":\"s3://d/x\",\"sha256\":null,\"name\":\"x\"}],"
    "\"run\":{\"id\":\"4711\",\"url\":null,\"system\":\"github\"},"
    "\"code\":{\"repository\":\"https://g/r\",\"commit\":\"5d41\",\"dirty\":true},"
    "\"params\":{\"lr\":2e-05,\"epochs\":3,\"big\":9007199254740993,\"on\":true,"
    "\"name\":\"\xc3\xa9\"},"
    "\"metrics\":{\"f1\":0.842,\"one\":1.0,\"bad\":\"NaN\"}}";

static char *make_golden(size_t *size)
{
    struct origin_parent parents[] = {
        {.relation = "fine-tune",
         .model = "nlp/base",
         .key = {.number = 7, .digest = digest_from(A64)}},
        {.relation = "merge", .uri = "hf:org/name@main"},
    };
    struct origin_dataset dataset = {.uri = "s3://d/x", .name = "x"};
    struct origin_run run = {.id = "4711", .system = "github"};
    struct origin_code code = {"https://g/r", "5d41", true};
    AUTO_JSON json_t *params = json_loads(
        "{\"lr\":0.00002,\"epochs\":3,\"big\":9007199254740993,\"on\":true,"
        "\"name\":\"\\u00e9\"}",
        0, NULL);
    AUTO_JSON json_t *metrics =
        json_pack("{s:f, s:f, s:s}", "f1", 0.842, "one", 1.0, "bad", "NaN");
    struct origins origins = {.parents = parents,
                              .parents_count = 2,
                              .datasets = &dataset,
                              .datasets_count = 1,
                              .run = &run,
                              .code = &code,
                              .params = params,
                              .metrics = metrics};
    AUTO_FREE char *text = origins_text(&origins);
    struct manifest_file files[] = {
        {.path = "a \"b\".txt",
         .size = 4,
         .digest = digest_from(A64),
         .chain_root = digest_from(B64)},
        {.path = "config.json",
         .media_type = "application/json",
         .digest = digest_from(B64),
         .chain_root = digest_from(A64)},
    };
    struct manifest manifest = {.model = "nlp/minilm",
                                .number = 2,
                                .created_at_us = 1772443800000001,
                                .files = files,
                                .files_count = 2,
                                .origins = text};
    return manifest_text(&manifest, size);
}

static void the_text_is_golden(void **state)
{
    (void)state;
    size_t size = 0;
    AUTO_FREE char *text = make_golden(&size);
    assert_string_equal(text, golden);
    assert_int_equal(size, strlen(golden));
}

static void content_reads_it_back(void **state)
{
    (void)state;
    size_t size = 0;
    struct content *content = NULL;
    struct error e = {0};
    assert_int_equal(content_parse(make_golden(&size), &content, &e), ERR_NONE);
    assert_string_equal(content->manifest, golden);
    assert_int_equal(content->files_count, 2);
    const struct content_file *file = content_find(content, "config.json");
    assert_non_null(file);
    assert_string_equal(file->media_type, "application/json");
    file = content_find(content, "a \"b\".txt");
    assert_non_null(file);
    assert_string_equal(file->media_type, MEDIA_TYPE_DEFAULT);
    assert_int_equal(file->size, 4);
    assert_null(content_find(content, "config"));
    content_free(content);
}

static void content_refuses_other_text(void **state)
{
    (void)state;
    const char *bad[] = {"", "{}", "{\"files\":[]}", "{\"files\":[{\"path\":\"a\"}]}",
                         "{\"files\":[{\"path\":\"a\",\"sha256\":\"x\"}]}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct content *content = NULL;
        struct error e = {0};
        assert_int_equal(content_parse(strdup(bad[i]), &content, &e), ERR_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_origins),
        cmocka_unit_test(the_text_is_golden),
        cmocka_unit_test(content_reads_it_back),
        cmocka_unit_test(content_refuses_other_text),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
