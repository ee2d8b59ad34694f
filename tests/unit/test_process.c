// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "common/db/process.h"

#define NOBODY 65534

static void it_lives_in_its_folder(void **state)
{
    (void)state;
    char folder[4096];
    assert_non_null(getcwd(folder, sizeof folder));
    assert_true(process_lives(getpid(), folder));
    assert_false(process_lives(getpid(), "/nowhere"));
}

static void an_ended_child_is_reaped(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    while (process_lives(child, "/"))
        usleep(1000);
    assert_int_equal(waitpid(child, NULL, WNOHANG), -1);
}

// After a restart of the machine a daemon of another user may bear the number.
static void anothers_process_is_not_ours(void **state)
{
    (void)state;
    pid_t others = geteuid() == 0 ? getpid() : 1;
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(2);
        _exit(process_lives(others, "/nowhere") ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lives_in_its_folder),
        cmocka_unit_test(an_ended_child_is_reaped),
        cmocka_unit_test(anothers_process_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
