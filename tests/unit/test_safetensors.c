// SPDX-License-Identifier: Apache-2.0
#include "common/format/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/names.h"

#define U8(name, begin, end)                                                           \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #end "],\"data_offsets\":[" #begin    \
    "," #end "]}"

// The index of a header before `data_size` bytes; it must be valid.
static struct safetensors *parse_n(const char *json, size_t size, uint64_t data_size)
{
    struct safetensors *index = NULL;
    struct error e = {0};
    enum err err = safetensors_parse(json, size, 8 + size + data_size, &index, &e);
    if (err != ERR_NONE)
        fail_msg("%.200s: %s", json, e.detail);
    return index;
}

static struct safetensors *parse(const char *json, uint64_t data_size)
{
    return parse_n(json, strlen(json), data_size);
}

// It must be refused, and the reason must hold `why`.
static void refuse_n(const char *json, size_t size, uint64_t data_size, const char *why)
{
    struct safetensors *index = NULL;
    struct error e = {0};
    enum err err = safetensors_parse(json, size, 8 + size + data_size, &index, &e);
    if (err != ERR_TENSORS_UNREADABLE || index != NULL)
        fail_msg("taken: %.200s", json);
    if (strstr(e.detail, why) == NULL)
        fail_msg("%.200s: %s; not: %s", json, e.detail, why);
    assert_true(utf8_is_valid(e.detail, strlen(e.detail)));
}

static void refuse(const char *json, uint64_t data_size, const char *why)
{
    refuse_n(json, strlen(json), data_size, why);
}

static void tensors_in_order_of_offset(void **state)
{
    (void)state;
    const char json[] =
        "{\"z\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\n"
        "\"__metadata__\":{\"format\":\"pt\",\"\":\"\"},"
        " \"a/b c\":{\"shape\":[],\"data_offsets\":[26,28],\"dtype\":\"BF16\"},"
        "\"m\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[24,26]}}  \n ";
    CLEANUP(safetensors_free_at) struct safetensors *index = parse(json, 28);
    uint64_t data = 8 + strlen(json);
    assert_int_equal(index->count, 3);
    assert_int_equal(index->header_size, strlen(json));
    const struct safetensors_tensor *tensor = index->tensors[0];
    assert_string_equal(tensor->name, "z");
    assert_string_equal(tensor->dtype, "F32");
    assert_int_equal(tensor->rank, 2);
    assert_int_equal(tensor->shape[0], 2);
    assert_int_equal(tensor->shape[1], 3);
    assert_int_equal(tensor->offset, data);
    assert_int_equal(tensor->length, 24);
    assert_string_equal(index->tensors[1]->name, "m");
    assert_int_equal(index->tensors[1]->offset, data + 24);
    assert_string_equal(index->tensors[2]->name, "a/b c");
    assert_int_equal(index->tensors[2]->rank, 0);
    assert_int_equal(index->tensors[2]->offset, data + 26);
    assert_int_equal(index->tensors[2]->length, 2);
    assert_true(index->bytes > 3 * sizeof *tensor);
}

static void finding(void **state)
{
    (void)state;
    CLEANUP(safetensors_free_at)
    struct safetensors *index =
        parse("{" U8("b", 0, 0) "," U8("", 0, 0) "," U8("a.0", 0, 0) "," U8(
                  "\\u00e9\\n\\/", 0, 0) "}",
              0);
    assert_ptr_equal(safetensors_find(index, "b"), index->tensors[2]);
    assert_ptr_equal(safetensors_find(index, ""), index->tensors[0]);
    assert_non_null(safetensors_find(index, "a.0"));
    assert_non_null(safetensors_find(index, "\xc3\xa9\n/"));
    assert_null(safetensors_find(index, "a"));
    assert_null(safetensors_find(index, "c"));
    CLEANUP(safetensors_free_at) struct safetensors *none = parse("{}", 0);
    assert_int_equal(none->count, 0);
    assert_null(safetensors_find(none, "a"));
    CLEANUP(safetensors_free_at)
    struct safetensors *metadata = parse("{\"__metadata__\":null}", 0);
    assert_int_equal(metadata->count, 0);
}

static void header_sizes(void **state)
{
    (void)state;
    uint64_t size = 7;
    struct error e = {0};
    const uint8_t two[8] = {2}, order[8] = {1, 2}, most[8] = {0x00, 0xe1, 0xf5, 0x05},
                  over[8] = {0x01, 0xe1, 0xf5, 0x05},
                  huge[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    assert_int_equal(safetensors_header_size(two, 10, &size, &e), ERR_NONE);
    assert_int_equal(size, 2);
    assert_int_equal(safetensors_header_size(order, 1000, &size, &e), ERR_NONE);
    assert_int_equal(size, 513);
    assert_int_equal(safetensors_header_size(most, 1 << 30, &size, &e), ERR_NONE);
    assert_int_equal(size, SAFETENSORS_HEADER_MAXIMUM);
    const enum err bad = ERR_TENSORS_UNREADABLE;
    assert_int_equal(safetensors_header_size(two, 9, &size, &e), bad);
    assert_int_equal(safetensors_header_size(two, 7, &size, &e), bad);
    assert_int_equal(safetensors_header_size(two, 0, &size, &e), bad);
    assert_int_equal(safetensors_header_size(over, 1 << 30, &size, &e), bad);
    assert_int_equal(safetensors_header_size(huge, UINT64_MAX, &size, &e), bad);
    assert_int_equal(size, SAFETENSORS_HEADER_MAXIMUM);
    struct safetensors *index = NULL;
    assert_int_equal(safetensors_parse("{}", 2, 9, &index, &e), bad);
    assert_int_equal(safetensors_parse("{}", 2, 7, &index, &e), bad);
    assert_null(index);
}

static void dtypes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {
        {"BOOL", 8},        {"U8", 8},          {"I8", 8},   {"F8_E4M3", 8},
        {"F8_E5M2", 8},     {"F8_E8M0", 8},     {"F4", 4},   {"I16", 16},
        {"F6_E2M3", 6},     {"F6_E3M2", 6},     {"U16", 16}, {"F16", 16},
        {"I32", 32},        {"BF16", 16},       {"U32", 32}, {"F32", 32},
        {"F64", 64},        {"I64", 64},        {"U64", 64}, {"C64", 64},
        {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        assert_int_equal(safetensors_dtype_bits(known[i].name), known[i].bits);
        char json[200];
        snprintf(json, sizeof json,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%u]}}",
                 known[i].name, known[i].bits / 2);
        safetensors_free(parse(json, known[i].bits / 2));
        snprintf(json, sizeof json,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%u]}}",
                 known[i].name, known[i].bits / 2 + 1);
        refuse(json, known[i].bits / 2 + 1, "not that of its shape");
    }
    assert_int_equal(safetensors_dtype_bits("f32"), 0);
    refuse("{\"t\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2,
           "whole bytes");
    // What comes after this was written is indexed by its offsets.
    CLEANUP(safetensors_free_at)
    struct safetensors *later =
        parse("{\"t\":{\"dtype\":\"F128\",\"shape\":[3],\"data_offsets\":[0,5]}}", 5);
    assert_string_equal(later->tensors[0]->dtype, "F128");
    assert_int_equal(later->tensors[0]->length, 5);
    refuse("{\"t\":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,5]}}", 5, "dtype");
    refuse("{\"t\":{\"dtype\":\"F123456789012345678901234567890123\",\"shape\":[],"
           "\"data_offsets\":[0,5]}}",
           5, "dtype");
}

static void places(void **state)
{
    (void)state;
#define AT(begin, end)                                                                 \
    "{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[" #begin "," #end "]}"
    // Tensors without bytes lie anywhere between the others.
    CLEANUP(safetensors_free_at)
    struct safetensors *index = parse(
        "{\"d\":" AT(3, 3) ",\"b\":" AT(0, 3) ",\"z\":" AT(0, 0) ",\"c\":" AT(3, 3) "}",
        3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(index->tensors[i]->name[0], "zbcd"[i]);
    safetensors_free(parse("{\"a\":" AT(0, 3) ",\"b\":" AT(3, 4) "}", 4));
    refuse("{\"a\":" AT(0, 3) ",\"b\":" AT(2, 4) "}", 4, "overlaps");
    refuse("{\"a\":" AT(0, 4) ",\"b\":" AT(0, 4) "}", 4, "overlaps");
    refuse("{\"a\":" AT(0, 4) ",\"b\":" AT(1, 2) "}", 4, "overlaps");
    refuse("{\"a\":" AT(0, 4) ",\"b\":" AT(2, 2) "}", 4, "overlaps");
    refuse("{\"a\":" AT(0, 3) ",\"b\":" AT(4, 5) "}", 5, "hole");
    refuse("{\"a\":" AT(1, 3) "}", 3, "hole");
    refuse("{\"a\":" AT(0, 3) "}", 2, "behind the end");
    refuse("{\"a\":" AT(0, 3) "}", 4, "belong to no tensor");
    refuse("{}", 1, "belong to no tensor");
    refuse("{\"a\":" AT(3, 0) "}", 3, "two offsets");
    refuse("{\"a\":" AT(-1, 3) "}", 3, "two offsets");
    refuse("{\"a\":" AT(0, 3.0) "}", 3, "two offsets");
    refuse("{\"a\":" AT(0, 3e0) "}", 3, "two offsets");
    refuse("{\"a\":" AT(0, "3") "}", 3, "two offsets");
    refuse("{\"a\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[0,3,4]}}", 3,
           "two off");
    refuse("{\"a\":" AT(0, 9223372036854775807) "}", 3, "behind the end");
    refuse("{\"a\":" AT(0, 9223372036854775808) "}", 3, "JSON");
    refuse("{\"a\":" AT(9223372036854775807, 9223372036854775807) "}", 3, "hole");
    refuse("{\"a\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[0]}}", 0, "two off");
    refuse("{\"a\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[]}}", 0, "two off");
}

static void shapes(void **state)
{
    (void)state;
#define OF(shape, length)                                                              \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[0," #length "]" \
    "}"                                                                                \
    "}"
    safetensors_free(parse(OF("", 4), 4));
    safetensors_free(parse(OF("0", 0), 0));
    safetensors_free(parse(OF("1,1,1,2", 8), 8));
    safetensors_free(parse(OF("0,9223372036854775807,9", 0), 0));
    refuse(OF("", 0), 0, "not that of its shape");
    refuse(OF("2", 4), 4, "not that of its shape");
    refuse(OF("-1", 4), 4, "not a count");
    refuse(OF("1.0", 4), 4, "not a count");
    refuse(OF("true", 4), 4, "not a count");
    refuse(OF("null", 4), 4, "not a count");
    refuse(OF("[1]", 4), 4, "not a count");
    // 2^62 * 4 bytes, and 2^32 * 2^32 elements, are 0 once they have wrapped round.
    refuse(OF("4611686018427387904", 0), 0, "overflows");
    refuse(OF("4294967296,4294967296", 0), 0, "overflows");
    refuse(OF("4294967296,4294967296,0", 0), 0, "overflows");
    refuse("{\"a\":{\"dtype\":\"X\",\"shape\":[4294967296,4294967296],"
           "\"data_offsets\":[0,0]}}",
           0, "overflows");
    CLEANUP(buf_clear) struct buf json = {0};
    for (int rank = SAFETENSORS_RANK_MAXIMUM; rank <= SAFETENSORS_RANK_MAXIMUM + 1;
         rank++) {
        buf_reset(&json);
        buf_puts(&json, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1");
        for (int i = 1; i < rank; i++)
            buf_puts(&json, ",1");
        buf_puts(&json, "],\"data_offsets\":[0,1]}}");
        if (rank <= SAFETENSORS_RANK_MAXIMUM)
            safetensors_free(parse(buf_text(&json), 1));
        else
            refuse(buf_text(&json), 1, "dimensions");
    }
}

static void members(void **state)
{
    (void)state;
    // As the reference library: what is not known is passed over.
    safetensors_free(parse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":"
                           "[0,1],\"more\":{\"x\":[[\"]}\\\"\"]]}}}",
                           1));
    const char *bad[] = {
        "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}",
        "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}",
        "{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{\"0\":1}}}",
        "{\"a\":{}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refuse(bad[i], 1, "missing");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],"
           "\"more\":[[[[[[[[1]]]]]]]]}}",
           1, "no object");
    refuse("{\"a\" {\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "colon");
    const char *none[] = {"{\"a\":null}",   "{\"a\":[]}", "{\"a\":1}",
                          "{\"a\":\"U8\"}", "{\"a\":}",   "{\"a\":"};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        refuse(none[i], 1, "no object");
}

static void twice(void **state)
{
    (void)state;
    refuse("{" U8("a", 0, 1) "," U8("a", 0, 1) "}", 1, "the name is there twice");
    refuse("{" U8("a", 0, 0) "," U8("b", 0, 0) "," U8("\\u0061", 0, 0) "}", 0,
           "the name is there twice");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
    refuse("{\"__metadata__\":null,\"__metadata__\":null}", 0, "twice");
    refuse("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "twice");
    refuse("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],"
           "\"data_offsets\":[0,1]}}",
           1, "twice");
}

static void metadata(void **state)
{
    (void)state;
    safetensors_free(parse("{\"__metadata__\":{}}", 0));
    safetensors_free(parse("{\"__metadata__\":{\"a\":\"{\\\"b\\\":1}\"}}", 0));
    const char *bad[] = {"{\"__metadata__\":{\"a\":1}}",     "{\"__metadata__\":[]}",
                         "{\"__metadata__\":{\"a\":null}}",  "{\"__metadata__\":\"a\"}",
                         "{\"__metadata__\":{\"a\":{}}}",    "{\"__metadata__\":nul}",
                         "{\"__metadata__\":{\"a\"}}",       "{\"__metadata__\":{",
                         "{\"__metadata__\":{\"a\":\"b\",}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refuse(bad[i], 0, "");
    // A tensor's members do not make metadata a tensor.
    refuse("{" U8("__metadata__", 0, 1) "}", 1, "");
}

static void texts(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        " {}",
        "\xef\xbb\xbf{}",
        "[]",
        "null",
        "{",
        "}",
        "{}}",
        "{} x",
        "{},",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\\",
        "{,}",
        "{\"a\",}",
        "{a:{}}",
        "{'a':{}}",
        "{\"a\" {}}",
        "{\"\xff\":{}}",
        "{\"\\x\":{}}",
        "{\"\\u0000\":{}}",
        "{\"\\ud800\":{}}",
        "{\"a\":{]}",
        "{\"a\":{\"dtype\":\"U8\"",
        "{\"a\":{\"b\":\"",
        "/**/{}",
        "{\"\xc3\":{}}",
        "{\"a\nb\":{}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refuse(bad[i], 0, "");
    refuse("{" U8("a", 0, 0) ",}", 0, "");
    refuse("{" U8("a", 0, 0) U8("b", 0, 0) "}", 0, "comma");
    refuse("{" U8("a", 0, 0), 0, "comma");
    refuse_n("{}\0", 3, 0, "follows");
    refuse_n("{\"a\0b\":{}}", 10, 0, "NUL");
    // A long name is cut between two characters when it is told of.
    char json[300] = "{\"xxx";
    for (int i = 0; i < 60; i++)
        strcat(json, "\xe6\xa8\xa1");
    strcat(json, "\":1}");
    refuse(json, 0, "...: it is no object");
}

static void long_names(void **state)
{
    (void)state;
    for (int size = SAFETENSORS_NAME_MAXIMUM; size <= SAFETENSORS_NAME_MAXIMUM + 1;
         size++) {
        for (int escaped = 0; escaped <= 1; escaped++) {
            CLEANUP(buf_clear) struct buf json = {0};
            buf_puts(&json, "{\"");
            for (int i = 0; i < size; i++)
                buf_puts(&json, escaped ? "\\u0061" : "a");
            buf_puts(&json, "\":{\"dtype\":\"U8\",\"shape\":[0],"
                            "\"data_offsets\":[0,0]}}");
            if (size <= SAFETENSORS_NAME_MAXIMUM)
                safetensors_free(parse(buf_text(&json), 0));
            else
                refuse(buf_text(&json), 0, "a name is over");
        }
    }
}

// As deep and as wide as a header allows; a parser that recurses or builds a tree of it
// would end here.
static void deep_and_wide(void **state)
{
    (void)state;
    const size_t size = 4 << 20;
    AUTO_FREE char *json = malloc(size);
    static const char *const fill[] = {"[",   "{\"\":",       "[],",
                                       "{},", "\"\\u0041\",", " "};
    for (size_t i = 0; i < ARRAY_SIZE(fill); i++) {
        static const char *const begin[] = {
            "{\"a\":", "{\"a\":{\"b\":", "{\"a\":{\"b\":[", "{\"__metadata__\":", ""};
        for (size_t j = 0; j < ARRAY_SIZE(begin); j++) {
            size_t used = strlen(begin[j]), step = strlen(fill[i]);
            memcpy(json, begin[j], used);
            for (; used + step <= size; used += step)
                memcpy(json + used, fill[i], step);
            refuse_n(json, used, 0, "");
        }
    }
}

static void put_many(struct buf *json, const char *prefix, size_t count,
                     const char *value)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(json, "%s\"%s%zu\":%s", i > 0 ? "," : "", prefix, i, value);
}

static void many(void **state)
{
    (void)state;
    static const char tensor[] =
        "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
    CLEANUP(buf_clear) struct buf json = {0};
    buf_puts(&json, "{");
    put_many(&json, "layers.", SAFETENSORS_TENSORS_MAXIMUM, tensor);
    size_t size = json.size;
    buf_puts(&json, "}");
    struct safetensors *index = parse(buf_text(&json), 0);
    assert_int_equal(index->count, SAFETENSORS_TENSORS_MAXIMUM);
    assert_non_null(safetensors_find(index, "layers.77777"));
    assert_true(index->bytes < 4 * json.size);
    safetensors_free(index);
    json.size = size;
    buf_printf(&json, ",\"one more\":%s}", tensor);
    refuse(buf_text(&json), 0, "more than 262144 tensors");
    buf_reset(&json);
    buf_puts(&json, "{\"__metadata__\":{");
    put_many(&json, "", SAFETENSORS_METADATA_MAXIMUM, "\"\"");
    size = json.size;
    buf_puts(&json, "}}");
    safetensors_free(parse(buf_text(&json), 0));
    json.size = size;
    buf_puts(&json, ",\"one more\":\"\"}}");
    refuse(buf_text(&json), 0, "more than 65536 members");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_in_order_of_offset),
        cmocka_unit_test(finding),
        cmocka_unit_test(header_sizes),
        cmocka_unit_test(dtypes),
        cmocka_unit_test(places),
        cmocka_unit_test(shapes),
        cmocka_unit_test(members),
        cmocka_unit_test(twice),
        cmocka_unit_test(metadata),
        cmocka_unit_test(texts),
        cmocka_unit_test(long_names),
        cmocka_unit_test(deep_and_wide),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
