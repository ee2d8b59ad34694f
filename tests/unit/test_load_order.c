// SPDX-License-Identifier: Apache-2.0
#include "server/policy/load_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

static void files_come_as_a_loader_reads_them(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "config.json",
        "vae/config.json",
        "model.safetensors.index.json",
        "README.md",
        "tokenizer.json",
        "model-00001-of-00011.safetensors",
        "model-00002-of-00011.safetensors",
        "model-00010-of-00011.safetensors",
        "shard-9.safetensors",
        "shard-10.safetensors",
        "pytorch_model.bin",
    };
    struct content_file files[ARRAY_SIZE(expected)] = {0};
    const struct content_file *order[ARRAY_SIZE(expected)];
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        files[i].path = expected[i];
        order[ARRAY_SIZE(expected) - 1 - i] = &files[i];
    }
    qsort(order, ARRAY_SIZE(order), sizeof *order, load_order_compare);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_string_equal(order[i]->path, expected[i]);
}

static void no_two_paths_are_equal(void **state)
{
    (void)state;
    struct content_file a = {.path = "a007"}, b = {.path = "a7"};
    const struct content_file *left = &a, *right = &b;
    assert_true(load_order_compare(&left, &right) < 0);
    assert_true(load_order_compare(&right, &left) > 0);
    assert_int_equal(load_order_compare(&left, &left), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_as_a_loader_reads_them),
        cmocka_unit_test(no_two_paths_are_equal),
    };
    return cmocka_run_group_tests_name("load_order", tests, NULL, NULL);
}
