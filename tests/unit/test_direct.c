// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/direct.h"

#define SIZE ((size_t)3 << 20)

static char *make_bytes(size_t size)
{
    char *bytes = direct_buffer(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + i / 4096);
    return bytes;
}

static FILE *make_file(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)DIRECT_FILE_MINIMUM), 0);
    return file;
}

static void check(int fd, const char *bytes, size_t size, off_t offset)
{
    char *found = malloc(size);
    assert_int_equal(pread(fd, found, size, offset), size);
    assert_memory_equal(found, bytes, size);
    free(found);
}

// Whatever the file system allows, the bytes are the same.
static void writes_aligned_and_unaligned_pieces(void **state)
{
    (void)state;
    FILE *file = make_file();
    int fd = fileno(file);
    int direct = direct_open(fd, DIRECT_FILE_MINIMUM);
    char *bytes = make_bytes(SIZE);
    assert_true(direct_write(direct, fd, bytes, SIZE, 0));
    assert_true(direct_write(direct, fd, bytes, SIZE - 100, SIZE));
    assert_true(direct_write(direct, fd, bytes + 1, 4096, 2 * SIZE));
    assert_true(direct_write(direct, fd, bytes, 4096, 3 * SIZE + 7));
    check(fd, bytes, SIZE, 0);
    check(fd, bytes, SIZE - 100, (off_t)SIZE);
    check(fd, bytes + 1, 4096, (off_t)(2 * SIZE));
    check(fd, bytes, 4096, (off_t)(3 * SIZE + 7));
    free(bytes);
    if (direct >= 0)
        close(direct);
    fclose(file);
}

static void does_without_a_direct_descriptor(void **state)
{
    (void)state;
    FILE *file = make_file();
    char *bytes = make_bytes(SIZE);
    assert_true(direct_write(-1, fileno(file), bytes, SIZE, 4096));
    check(fileno(file), bytes, SIZE, 4096);
    free(bytes);
    fclose(file);
}

static void leaves_small_files_alone(void **state)
{
    (void)state;
    FILE *file = make_file();
    assert_int_equal(direct_open(fileno(file), DIRECT_FILE_MINIMUM - 1), -1);
    fclose(file);
}

static void reports_what_fails(void **state)
{
    (void)state;
    char *bytes = make_bytes(4096);
    assert_false(direct_write(-1, -1, bytes, 4096, 0));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_aligned_and_unaligned_pieces),
        cmocka_unit_test(does_without_a_direct_descriptor),
        cmocka_unit_test(leaves_small_files_alone),
        cmocka_unit_test(reports_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
