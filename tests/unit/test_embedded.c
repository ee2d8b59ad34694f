// SPDX-License-Identifier: Apache-2.0
#include "common/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// The embedded description is the file itself, byte for byte.
static void openapi_is_the_file(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/openapi.yaml", getenv("top_srcdir"));
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = malloc(embedded_openapi_size + 1);
    assert_non_null(text);
    size_t n = fread(text, 1, embedded_openapi_size + 1, f);
    fclose(f);
    assert_int_equal(n, embedded_openapi_size);
    assert_memory_equal(text, embedded_openapi, n);
    assert_int_equal(embedded_openapi[n], '\0');
    free(text);
}

static void migrations_are_numbered_without_gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < embedded_migrations_count; i++) {
        assert_int_equal(embedded_migrations[i].number, i + 1);
        assert_true(strlen(embedded_migrations[i].name) > 0);
        assert_true(strlen(embedded_migrations[i].sql) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openapi_is_the_file),
        cmocka_unit_test(migrations_are_numbered_without_gaps),
    };
    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
