// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/lib/span.h"
#include "client/lib/version.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FILE_OF(path, size)                                                            \
    "{\"path\":\"" path "\",\"size\":" size ",\"sha256\":\"" HEX                       \
    "\",\"chain_root\":\"" HEX "\"}"
#define HALF "9223372036854775807"

static enum strata_status read_files(const char *files, struct version *version)
{
    AUTO_FREE char *text =
        alloc_printf("{\"model\":\"a/b\",\"version\":3,\"files\":[%s]}", files);
    struct strata_error e = {0};
    return version_read_manifest(text, version, &e);
}

static void reads_a_manifest(void **state)
{
    (void)state;
    CLEANUP(version_clear) struct version version = {0};
    assert_int_equal(
        read_files(FILE_OF("a", "5") "," FILE_OF("a/b", "0") "," FILE_OF("b", "7"),
                   &version),
        STRATA_OK);
    assert_int_equal(version.number, 3);
    assert_int_equal(version.count, 3);
    assert_int_equal(version.total, 12);
    assert_ptr_equal(version_file_find(&version, "b"), &version.files[2]);
    assert_null(version_file_find(&version, "c"));
}

// Two entries of one path would be written into one file at the same time.
static void refuses_a_path_given_twice(void **state)
{
    (void)state;
    static const char *const cases[] = {
        FILE_OF("a", "5") "," FILE_OF("a", "5"),
        FILE_OF("a", "5") "," FILE_OF("b", "5") "," FILE_OF("a", "6"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(version_clear) struct version version = {0};
        assert_int_equal(read_files(cases[i], &version), STRATA_CORRUPT);
    }
}

static void refuses_sizes_that_do_not_add_up(void **state)
{
    (void)state;
    CLEANUP(version_clear) struct version version = {0};
    assert_int_equal(
        read_files(FILE_OF("a", HALF) "," FILE_OF("b", HALF) "," FILE_OF("c", "2"),
                   &version),
        STRATA_CORRUPT);
}

static void cuts_a_span_at_the_end(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        int64_t offset;
        uint64_t length;
        struct span span;
    } cases[] = {
        {10, 0, 10, {0, 10}},
        {10, 3, UINT64_MAX, {3, 10}},
        {10, -3, 2, {7, 9}},
        {10, -30, UINT64_MAX, {0, 10}},
        {0, 0, 5, {0, 0}},
        {10, INT64_MIN, 4, {0, 4}},
        {UINT64_MAX, INT64_MIN, 1, {(UINT64_MAX >> 1), (UINT64_MAX >> 1) + 1}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span span;
        assert_true(span_of(cases[i].size, cases[i].offset, cases[i].length, &span));
        assert_int_equal(span.begin, cases[i].span.begin);
        assert_int_equal(span.end, cases[i].span.end);
    }
    struct span span;
    assert_false(span_of(10, 10, 1, &span));
    assert_false(span_of(0, 1, 1, &span));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_manifest),
        cmocka_unit_test(refuses_a_path_given_twice),
        cmocka_unit_test(refuses_sizes_that_do_not_add_up),
        cmocka_unit_test(cuts_a_span_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
