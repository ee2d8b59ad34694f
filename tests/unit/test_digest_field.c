// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/api/digest_field.h"

#define NOTHING "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static enum err parse(const char *text, struct digest *digest, bool *found)
{
    struct error e = {0};
    return digest_field_parse(text, digest, found, &e);
}

static void finds_sha256(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "sha-256=:" NOTHING ":",
        " md5=:AAAA:, sha-256=:" NOTHING ":;a=1 , sha-512=:AA==: ",
    };
    struct digest nothing, digest;
    digest_of("", 0, &nothing);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        bool found = false;
        assert_int_equal(parse(texts[i], &digest, &found), ERR_NONE);
        assert_true(found);
        assert_true(digest_equal(&digest, &nothing));
    }
    bool found = true;
    assert_int_equal(parse("sha-512=:AAAA:", &digest, &found), ERR_NONE);
    assert_false(found);
}

static void refuses_what_is_no_digest(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "sha-256=:47DEQpj8HBSa:",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==:",
        "sha-256=:47DE=pj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", // padding within
        "sha-256=" NOTHING,
        "sha-256=:" NOTHING ": x",
        "",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct digest digest;
        bool found = false;
        if (parse(texts[i], &digest, &found) != ERR_BAD_REQUEST)
            fail_msg("\"%s\" was taken", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_sha256),
        cmocka_unit_test(refuses_what_is_no_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
