// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fields.h"

// Reads {"name": text, "count": 1..9, "list": array of 2, "flag": bool}.
static enum err read_all(const char *text, const char *prefix, struct error *e)
{
    AUTO_JSON json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    struct fields f;
    fields_begin(&f, json, prefix, e);
    fields_text(&f, "name", FIELD_REQUIRED, 4);
    fields_int(&f, "count", FIELD_OPTIONAL, 1, 9, 0);
    fields_array(&f, "list", FIELD_OPTIONAL, 2);
    fields_bool(&f, "flag", false);
    return fields_end(&f);
}

static void takes_what_is_allowed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{\"name\":\"abcd\"}",
        "{\"name\":\"\",\"count\":9,\"list\":[1,2],\"flag\":true}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error e = {0};
        assert_int_equal(read_all(cases[i], "", &e), ERR_NONE);
    }
}

static void names_the_field_at_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        const char *field;
    } cases[] = {
        {"{}", ERR_INVALID_FIELD, "x[1].name"},
        {"[]", ERR_INVALID_FIELD, "x[1]"},
        {"3", ERR_INVALID_FIELD, "x[1]"},
        {"{\"name\":1}", ERR_INVALID_FIELD, "x[1].name"},
        {"{\"name\":null}", ERR_INVALID_FIELD, "x[1].name"},
        {"{\"name\":\"abcde\"}", ERR_INVALID_FIELD, "x[1].name"},
        {"{\"name\":\"a\\u0001\"}", ERR_INVALID_FIELD, "x[1].name"},
        {"{\"name\":\"a\",\"count\":0}", ERR_INVALID_FIELD, "x[1].count"},
        {"{\"name\":\"a\",\"count\":10}", ERR_INVALID_FIELD, "x[1].count"},
        {"{\"name\":\"a\",\"count\":1.5}", ERR_INVALID_FIELD, "x[1].count"},
        {"{\"name\":\"a\",\"count\":\"1\"}", ERR_INVALID_FIELD, "x[1].count"},
        {"{\"name\":\"a\",\"list\":{}}", ERR_INVALID_FIELD, "x[1].list"},
        {"{\"name\":\"a\",\"list\":[1,2,3]}", ERR_INVALID_FIELD, "x[1].list"},
        {"{\"name\":\"a\",\"flag\":0}", ERR_INVALID_FIELD, "x[1].flag"},
        {"{\"name\":\"a\",\"other\":1}", ERR_UNKNOWN_FIELD, "x[1].other"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error e = {0};
        assert_int_equal(read_all(cases[i].text, "x[1].", &e), cases[i].err);
        assert_string_equal(e.field, cases[i].field);
        error_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_allowed),
        cmocka_unit_test(names_the_field_at_fault),
    };
    return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
