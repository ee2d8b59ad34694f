// SPDX-License-Identifier: Apache-2.0
#include "client/lib/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct expectation {
    const char *lines;
    const char *path;
    bool is_folder;
    bool matches;
};

static void check(const struct expectation *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pattern_list list = {0};
        pattern_add_lines(&list, expected[i].lines);
        if (pattern_match(&list, expected[i].path, expected[i].is_folder) !=
            expected[i].matches)
            fail_msg("`%s` against %s", expected[i].lines, expected[i].path);
        pattern_list_clear(&list);
    }
}

static void patterns_match_as_documented(void **state)
{
    (void)state;
    static const struct expectation expected[] = {
        // without a slash: in every folder
        {"*.tmp", "a.tmp", false, true},
        {"*.tmp", "x/y/a.tmp", false, true},
        {"*.tmp", "a.tmp.txt", false, false},
        {"?.bin", "a.bin", false, true},
        {"?.bin", "ab.bin", false, false},
        {"[ab].bin", "b.bin", false, true},
        {"[ab].bin", "c.bin", false, false},
        {".*", ".hidden", false, true},
        // with a slash: from the root
        {"/a.txt", "a.txt", false, true},
        {"/a.txt", "x/a.txt", false, false},
        {"x/*.txt", "x/a.txt", false, true},
        {"x/*.txt", "y/x/a.txt", false, false},
        {"x/*.txt", "x/y/a.txt", false, false},
        // any number of folders
        {"**/a.txt", "a.txt", false, true},
        {"**/a.txt", "x/y/a.txt", false, true},
        {"x/**/a.txt", "x/a.txt", false, true},
        {"x/**/a.txt", "x/y/z/a.txt", false, true},
        {"x/**/a.txt", "y/a.txt", false, false},
        {"x/**", "x/y/z", false, true},
        // folders only
        {"out/", "out", true, true},
        {"out/", "x/out", true, true},
        {"out/", "out", false, false},
        // the last match decides
        {"*.bin\n!keep.bin", "keep.bin", false, false},
        {"*.bin\n!keep.bin", "x/keep.bin", false, false},
        {"*.bin\n!keep.bin\nx/keep.bin", "x/keep.bin", false, true},
        // what says nothing
        {"# a.txt\n\n  \n", "a.txt", false, false},
        {"a.txt  \r\n", "a.txt", false, true},
        {"/", "a.txt", false, false},
        {"", "a.txt", false, false},
    };
    check(expected, sizeof expected / sizeof expected[0]);
}

static void files_match_by_their_folders(void **state)
{
    (void)state;
    struct pattern_list list = {0};
    pattern_add(&list, "logs/");
    pattern_add(&list, "/data");
    assert_true(pattern_match_file(&list, "logs/a/b.txt"));
    assert_true(pattern_match_file(&list, "x/logs/b.txt"));
    assert_true(pattern_match_file(&list, "data/b.txt"));
    assert_false(pattern_match_file(&list, "x/data/b.txt"));
    assert_false(pattern_match_file(&list, "logs")); // a file of that name
    pattern_list_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_documented),
        cmocka_unit_test(files_match_by_their_folders),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
