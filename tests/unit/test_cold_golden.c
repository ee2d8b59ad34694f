// SPDX-License-Identifier: Apache-2.0
// Copies that were written by another implementation of docs/COLD-FORMAT.md,
// tests/integration/support/cold_format.py, which prints this table.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/unit/cold_memory.h"

static const struct {
    const char *name;
    size_t size;
    const char *sha256;
} golden[] = {
    {"empty", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"byte", 1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
    {"text", 2250, "985c39b5bcb606f8b60f5262e8343cd47cfdb47cd519d397939e66b71c4443a9"},
    {"bf16", 600, "7016cd5b6bfd7236a3c1f09936b42379f7f851d922e9792fdcb5379ca2a8d71c"},
    {"fp32", 1200, "a00c0e377d0482e58d15d61c82f8f996e4081c5ff85ed784ee7ff3969fce35f3"},
    {"fp64", 320, "9685fc60fa2d82569ea244cedd5952b78aefaa15cc43e9f845d76bc798fee577"},
    {"mixed", 2387, "f2f341afd35b4b278929f474670dd062f1fff76e10480c792228be7344062f69"},
    {"border", 4218303,
     "ed396f9eac882ceeb3e6ce45a4c893c9253cdf3197164a5c841f9e6b4d3e8b22"},
};

static struct bytes read_golden(const char *name)
{
    char path[4096];
    struct bytes copy = {.data = alloc_zero(4096)};
    snprintf(path, sizeof path, "%s/tests/unit/golden/cold/%s.cold",
             getenv("top_srcdir"), name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    copy.size = fread(copy.data, 1, 4096, file);
    fclose(file);
    return copy;
}

static void golden_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
        CLEANUP(bytes_clear) struct bytes copy = read_golden(golden[i].name);
        CLEANUP(bytes_clear) struct bytes blob = {0};
        struct digest named, digest, expected;
        struct error e = {0};
        if (memory_decode(copy.data, copy.size, 1, &blob, &named, &e) != ERR_NONE)
            fail_msg("%s: %s", golden[i].name, e.detail);
        assert_int_equal(blob.size, golden[i].size);
        assert_true(digest_parse(golden[i].sha256, &expected));
        digest_of(blob.data, blob.size, &digest);
        assert_true(digest_equal(&digest, &expected));
        assert_true(digest_equal(&named, &expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_files)};
    return cmocka_run_group_tests_name("cold_golden", tests, NULL, NULL);
}
