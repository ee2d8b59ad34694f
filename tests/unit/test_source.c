// SPDX-License-Identifier: Apache-2.0
// Local files: the walk before a publish, changes meanwhile, and the folder of a pull.
#include "client/lib/source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/lib/destination.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/strata-source-XXXXXX");
    return mkdtemp(root) != NULL && chdir(root) == 0 ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") == 0 ? system(command) : -1;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void scan_is(const char *folder, const char *const *paths)
{
    struct source_list list = {0};
    struct strata_error e = {0};
    if (source_scan(folder, &list, &e) != STRATA_OK)
        fail_msg("%s", e.detail);
    size_t i = 0;
    for (; paths[i] != NULL; i++) {
        assert_true(i < list.count);
        assert_string_equal(list.items[i].path, paths[i]);
    }
    assert_int_equal(list.count, i);
    source_list_clear(&list);
}

static void scan_fails(const char *folder)
{
    struct source_list list = {0};
    struct strata_error e = {0};
    assert_int_equal(source_scan(folder, &list, &e), STRATA_LOCAL);
    assert_true(strlen(e.detail) > 0);
    source_list_clear(&list);
}

static void files_are_found_and_ignored(void **state)
{
    (void)state;
    mkdir("d", 0755);
    scan_fails("d"); // nothing to publish
    mkdir("d/sub", 0755);
    mkdir("d/.git", 0755);
    mkdir("d/out", 0755);
    mkdir("d/" DESTINATION_PARTIAL, 0755);
    put("d/b.bin", "b");
    put("d/a.log", "a");
    put("d/sub/keep.log", "k");
    put("d/.git/config", "g");
    put("d/out/x", "x");
    put("d/" DESTINATION_PARTIAL "/y", "y");
    scan_is("d",
            (const char *const[]){"a.log", "b.bin", "out/x", "sub/keep.log", NULL});
    put("d/.strataignore", "*.log\n!keep.log\nout/\n");
    scan_is("d", (const char *const[]){"b.bin", "sub/keep.log", NULL});
    scan_is("d/b.bin", (const char *const[]){"b.bin", NULL});
}

static void links_stay_inside(void **state)
{
    (void)state;
    mkdir("l", 0755);
    mkdir("l/real", 0755);
    put("l/real/f", "f");
    assert_int_equal(symlink("real", "l/link"), 0);
    assert_int_equal(symlink("real/f", "l/file"), 0);
    scan_is("l", (const char *const[]){"file", "link/f", "real/f", NULL});
    put("outside", "o");
    assert_int_equal(symlink("../outside", "l/leaves"), 0);
    scan_fails("l");
    put("l/.strataignore", "leaves\n"); // what is ignored may point anywhere
    scan_is("l", (const char *const[]){"file", "link/f", "real/f", NULL});
    assert_int_equal(symlink("..", "l/real/up"), 0);
    scan_fails("l"); // a circle
    unlink("l/real/up");
    assert_int_equal(symlink("nothing", "l/dangling"), 0);
    scan_fails("l");
    unlink("l/dangling");
    assert_int_equal(mkfifo("l/pipe", 0600), 0);
    scan_fails("l");
}

static void a_folder_whose_name_begins_alike_is_outside(void **state)
{
    (void)state;
    mkdir("n", 0755);
    mkdir("nn", 0755);
    put("nn/f", "f");
    put("n/g", "g");
    assert_int_equal(symlink("../nn/f", "n/f"), 0);
    scan_fails("n");
}

static void a_change_is_noticed(void **state)
{
    (void)state;
    struct state *nowhere = state_new("/dev/null/strata");
    struct source_list list = {0};
    struct strata_error e = {0};
    put("c", "before");
    assert_int_equal(source_add(&list, "c", "c", &e), STRATA_OK);
    struct source *source = &list.items[0];
    assert_int_equal(source_hash(source, nowhere, NULL, NULL, NULL, &e), STRATA_OK);
    struct digest digest;
    digest_of("before", 6, &digest);
    assert_true(digest_equal(&digest, &source->sha256));
    assert_int_equal(source_check(source, &e), STRATA_OK);
    put("other", "before"); // same bytes, size; another file
    assert_int_equal(rename("other", "c"), 0);
    assert_int_equal(source_check(source, &e), STRATA_LOCAL);
    int fd = -1;
    assert_int_equal(source_open(source, &fd, &e), STRATA_LOCAL);
    assert_int_equal(source_hash(source, nowhere, NULL, NULL, NULL, &e), STRATA_LOCAL);
    source_list_clear(&list);
    state_free(nowhere);
}

// No component on the way to a file may be a link, and none is made.
static void a_pull_stays_in_its_folder(void **state)
{
    (void)state;
    struct destination to;
    struct strata_error e = {0};
    struct digest digest;
    digest_of("x", 1, &digest);
    mkdir("elsewhere", 0755);
    put("elsewhere/f", "not mine");
    assert_int_equal(destination_open(&to, "p/q", true, &e), STRATA_OK);
    assert_int_equal(symlink("../../elsewhere", "p/q/sub"), 0);
    assert_int_equal(symlink("../../elsewhere/f", "p/q/g"), 0);
    int fd = -1;
    assert_int_equal(destination_open_file(&to, "sub/f", &fd, &e), STRATA_LOCAL);
    assert_int_equal(destination_open_file(&to, "g", &fd, &e), STRATA_LOCAL);
    assert_int_equal(destination_open_file(&to, "none/f", &fd, &e), STRATA_OK);
    assert_int_equal(fd, -1);
    assert_int_equal(destination_open_partial(&to, &digest, 1, &fd, &e), STRATA_OK);
    int second = -1;
    assert_int_equal(destination_open_partial(&to, &digest, 1, &second, &e),
                     STRATA_CONFLICT);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(destination_finish(&to, &digest, fd, "sub/f", &e), STRATA_LOCAL);
    assert_int_equal(destination_finish(&to, &digest, fd, "g", &e), STRATA_LOCAL);
    assert_int_equal(access("p/q/new/f", F_OK), -1);
    assert_int_equal(destination_finish(&to, &digest, fd, "new/f", &e), STRATA_OK);
    assert_int_equal(access("p/q/new/f", F_OK), 0);
    close(fd);
    destination_close(&to);
    assert_int_equal(access("p/q/" DESTINATION_PARTIAL, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_and_ignored),
        cmocka_unit_test(links_stay_inside),
        cmocka_unit_test(a_folder_whose_name_begins_alike_is_outside),
        cmocka_unit_test(a_change_is_noticed),
        cmocka_unit_test(a_pull_stays_in_its_folder),
    };
    return cmocka_run_group_tests_name("source", tests, make_root, remove_root);
}
