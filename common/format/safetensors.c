// SPDX-License-Identifier: Apache-2.0
// jansson parses every value, but never the whole header: its tree would be fifty times
// as large as the text that a hostile file brings. The header is walked member by
// member instead, and what a member may be is bounded before it is parsed.
#include "common/format/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define ESCAPE_SIZE 6 // \u0041, the longest spelling of a byte
#define TENSOR_TEXT_MAXIMUM 16384
#define TENSOR_DEPTH_MAXIMUM 8 // the object and its arrays are two
#define SHOWN_MAXIMUM 64       // bytes of a name within an error
#define FIRST_CAPACITY 64

// ---- dtypes -----------------------------------------------------------------------

static const struct {
    const char *name;
    unsigned bits;
} dtypes[] = {
    {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},
    {"U8", 8},      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},        {"BF16", 16},       {"I32", 32},
    {"U32", 32},    {"F32", 32},        {"C64", 64},        {"F64", 64},
    {"I64", 64},    {"U64", 64},
};

unsigned safetensors_dtype_bits(const char *dtype)
{
    for (size_t i = 0; i < ARRAY_SIZE(dtypes); i++) {
        if (strcmp(dtypes[i].name, dtype) == 0)
            return dtypes[i].bits;
    }
    return 0;
}

// ---- errors -----------------------------------------------------------------------

#define MALFORMED(e, ...) error_set(e, ERR_TENSORS_UNREADABLE, __VA_ARGS__)

struct shown {
    char text[SHOWN_MAXIMUM + 4];
};

// The beginning of a name, cut between two characters.
static struct shown show(const char *name)
{
    struct shown shown = {{0}};
    size_t size = strlen(name), cut = size;
    if (size > SHOWN_MAXIMUM) {
        for (cut = SHOWN_MAXIMUM; ((unsigned char)name[cut] & 0xc0) == 0x80;)
            cut--;
    }
    memcpy(shown.text, name, cut);
    if (cut < size)
        memcpy(shown.text + cut, "...", 4);
    return shown;
}

static enum err bad_tensor(const char *name, const char *why, struct error *e)
{
    return MALFORMED(e, "tensor %s: %s", show(name).text, why);
}

// ---- walking an object ------------------------------------------------------------

struct scanner {
    const char *at;
    const char *end;
};

static void skip_space(struct scanner *s)
{
    while (s->at < s->end && memchr(" \t\r\n", *s->at, 4) != NULL)
        s->at++;
}

static bool take_char(struct scanner *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool take_word(struct scanner *s, const char *word)
{
    size_t size = strlen(word);
    skip_space(s);
    if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
        return false;
    s->at += size;
    return true;
}

// From the opening quote to behind the closing one; NULL when there is none.
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && ++at == end)
            return NULL;
    }
    return at < end ? at + 1 : NULL;
}

// A string of at most `maximum` bytes; the caller drops its reference.
static enum err take_string(struct scanner *s, size_t maximum, json_t **string,
                            struct error *e)
{
    skip_space(s);
    const char *end =
        s->at < s->end && *s->at == '"' ? string_end(s->at, s->end) : NULL;
    if (end == NULL)
        return MALFORMED(e, "the header is not JSON: a string is missing");
    size_t size = (size_t)(end - s->at);
    if (size > maximum * ESCAPE_SIZE + 2)
        return MALFORMED(e, "a name is over %zu bytes long", maximum);
    *string = json_loadb(s->at, size, JSON_DECODE_ANY, NULL);
    if (*string == NULL)
        return MALFORMED(e, "a string is not valid JSON, not UTF-8 or holds a NUL");
    if (json_string_length(*string) > maximum) {
        json_decref(steal_ptr(*string));
        return MALFORMED(e, "a name is over %zu bytes long", maximum);
    }
    s->at = end;
    return ERR_NONE;
}

typedef enum err member_fn(void *context, struct scanner *s, json_t *key,
                           struct error *e);

// Calls `take` with each key; it takes the value.
static enum err walk(struct scanner *s, member_fn *take, void *context, struct error *e)
{
    if (!take_char(s, '{'))
        return MALFORMED(e, "an object is missing in the header");
    if (take_char(s, '}'))
        return ERR_NONE;
    do {
        AUTO_JSON json_t *key = NULL;
        enum err err = take_string(s, SAFETENSORS_NAME_MAXIMUM, &key, e);
        if (err == ERR_NONE && !take_char(s, ':'))
            err = MALFORMED(e, "the header is not JSON: a colon is missing");
        if (err == ERR_NONE)
            err = take(context, s, key, e);
        if (err != ERR_NONE)
            return err;
    } while (take_char(s, ','));
    if (!take_char(s, '}'))
        return MALFORMED(e, "the header is not JSON: a comma or brace is missing");
    return ERR_NONE;
}

// Behind the bracket that closes the one at `at`, or NULL. Brackets of both kinds count
// alike; whether they fit is the parser's to say.
static const char *value_end(const char *at, const char *end)
{
    size_t depth = 0;
    if ((size_t)(end - at) > TENSOR_TEXT_MAXIMUM)
        end = at + TENSOR_TEXT_MAXIMUM;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = string_end(at, end);
            if (at == NULL)
                return NULL;
            continue;
        }
        at++;
        if ((c == '{' || c == '[') && ++depth > TENSOR_DEPTH_MAXIMUM)
            return NULL;
        if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return NULL;
}

// ---- one tensor -------------------------------------------------------------------

static bool take_count(const json_t *json, uint64_t *value)
{
    json_int_t number = json_integer_value(json);
    if (!json_is_integer(json) || number < 0)
        return false;
    *value = (uint64_t)number;
    return true;
}

static struct safetensors_tensor *tensor_new(const char *name, const char *dtype,
                                             size_t rank, size_t *bytes)
{
    size_t name_size = strlen(name) + 1, dtype_size = strlen(dtype) + 1;
    size_t fixed = sizeof(struct safetensors_tensor) + rank * sizeof(uint64_t);
    struct safetensors_tensor *tensor = alloc_zero(fixed + name_size + dtype_size);
    char *text = (char *)tensor + fixed;
    tensor->name = memcpy(text, name, name_size);
    tensor->dtype = memcpy(text + name_size, dtype, dtype_size);
    tensor->rank = rank;
    *bytes += fixed + name_size + dtype_size;
    return tensor;
}

// The shape's elements times the size of one must be the length.
static enum err check_length(const struct safetensors_tensor *tensor, struct error *e)
{
    uint64_t elements = 1, bits;
    unsigned element_bits = safetensors_dtype_bits(tensor->dtype);
    for (size_t i = 0; i < tensor->rank; i++) {
        if (__builtin_mul_overflow(elements, tensor->shape[i], &elements))
            return bad_tensor(tensor->name, "its shape overflows", e);
    }
    if (element_bits == 0)
        return ERR_NONE;
    if (__builtin_mul_overflow(elements, (uint64_t)element_bits, &bits))
        return bad_tensor(tensor->name, "its shape overflows", e);
    if (bits % 8 != 0)
        return bad_tensor(tensor->name, "its elements do not fill whole bytes", e);
    if (bits / 8 != tensor->length)
        return bad_tensor(tensor->name, "its length is not that of its shape", e);
    return ERR_NONE;
}

static enum err fill_tensor(struct safetensors_tensor *tensor, const json_t *shape,
                            const json_t *offsets, struct error *e)
{
    uint64_t begin, end;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!take_count(json_array_get(shape, i), &tensor->shape[i]))
            return bad_tensor(tensor->name, "a dimension is not a count", e);
    }
    if (json_array_size(offsets) != 2 ||
        !take_count(json_array_get(offsets, 0), &begin) ||
        !take_count(json_array_get(offsets, 1), &end) || begin > end)
        return bad_tensor(tensor->name, "data_offsets are not two offsets", e);
    tensor->offset = begin;
    tensor->length = end - begin;
    return check_length(tensor, e);
}

static enum err parse_tensor(const char *name, const json_t *json, size_t *bytes,
                             struct safetensors_tensor **tensor, struct error *e)
{
    const json_t *dtype = json_object_get(json, "dtype");
    const json_t *shape = json_object_get(json, "shape");
    const json_t *offsets = json_object_get(json, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets))
        return bad_tensor(name, "dtype, shape or data_offsets is missing", e);
    size_t dtype_size = json_string_length(dtype);
    if (dtype_size == 0 || dtype_size > SAFETENSORS_DTYPE_MAXIMUM)
        return bad_tensor(name, "its dtype is empty or too long", e);
    if (json_array_size(shape) > SAFETENSORS_RANK_MAXIMUM)
        return bad_tensor(name, "it has too many dimensions", e);
    *tensor = tensor_new(name, json_string_value(dtype), json_array_size(shape), bytes);
    return fill_tensor(*tensor, shape, offsets, e);
}

// ---- the header -------------------------------------------------------------------

struct parse {
    struct safetensors *index;
    size_t capacity;
    json_t *metadata; // an object of its keys; NULL while there is no __metadata__
};

static enum err take_metadata_member(void *context, struct scanner *s, json_t *key,
                                     struct error *e)
{
    json_t *keys = context;
    AUTO_JSON json_t *value = NULL;
    if (json_object_size(keys) == SAFETENSORS_METADATA_MAXIMUM)
        return MALFORMED(e, "__metadata__ has more than %u members",
                         SAFETENSORS_METADATA_MAXIMUM);
    if (json_object_get(keys, json_string_value(key)) != NULL)
        return MALFORMED(e, "__metadata__ names a member twice");
    json_object_set_new(keys, json_string_value(key), json_null());
    return take_string(s, SAFETENSORS_HEADER_MAXIMUM, &value, e);
}

static enum err take_metadata(struct parse *p, struct scanner *s, struct error *e)
{
    if (p->metadata != NULL)
        return MALFORMED(e, "__metadata__ is there twice");
    p->metadata = json_object();
    // The reference library takes null for none.
    return take_word(s, "null") ? ERR_NONE
                                : walk(s, take_metadata_member, p->metadata, e);
}

static enum err take_tensor(void *context, struct scanner *s, json_t *key,
                            struct error *e)
{
    struct parse *p = context;
    struct safetensors *index = p->index;
    const char *name = json_string_value(key);
    if (strcmp(name, "__metadata__") == 0)
        return take_metadata(p, s, e);
    if (index->count == SAFETENSORS_TENSORS_MAXIMUM)
        return MALFORMED(e, "the file has more than %u tensors",
                         SAFETENSORS_TENSORS_MAXIMUM);
    skip_space(s);
    const char *end = s->at < s->end && *s->at == '{' ? value_end(s->at, s->end) : NULL;
    if (end == NULL)
        return bad_tensor(name, "it is no object, has no end or is too large", e);
    AUTO_JSON json_t *json =
        json_loadb(s->at, (size_t)(end - s->at), JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL)
        return bad_tensor(name, "it is not JSON, or names a member twice", e);
    s->at = end;
    if (index->count == p->capacity) {
        p->capacity = p->capacity > 0 ? 2 * p->capacity : FIRST_CAPACITY;
        index->tensors = alloc_grow(index->tensors, p->capacity, sizeof(void *));
    }
    struct safetensors_tensor **place = &index->tensors[index->count++];
    *place = NULL;
    return parse_tensor(name, json, &index->bytes, place, e);
}

static int compare_name(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_place(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a, *const *y = b;
    int order = compare_number((*x)->offset, (*y)->offset);
    if (order == 0)
        order = compare_number((*x)->length, (*y)->length);
    return order != 0 ? order : compare_name(a, b);
}

// Every byte of the data belongs to one tensor. Offsets begin at the first byte of the
// file afterwards.
static enum err place_all(struct safetensors *index, uint64_t data_size,
                          struct error *e)
{
    uint64_t next = 0;
    for (size_t i = 0; i < index->count; i++) {
        struct safetensors_tensor *tensor = index->tensors[i];
        if (tensor->offset != next)
            return bad_tensor(tensor->name,
                              tensor->offset < next ? "it overlaps the one before it"
                                                    : "there is a hole before it",
                              e);
        if (tensor->length > data_size - next)
            return bad_tensor(tensor->name, "it ends behind the end of the file", e);
        next += tensor->length;
        tensor->offset += SAFETENSORS_PREFIX_SIZE + index->header_size;
    }
    if (next != data_size)
        return MALFORMED(e, "the last %" PRIu64 " bytes belong to no tensor",
                         data_size - next);
    return ERR_NONE;
}

static enum err check_names(struct safetensors *index, struct error *e)
{
    size_t size = index->count * sizeof *index->by_name;
    index->by_name = alloc_array(index->count + 1, sizeof *index->by_name);
    if (size > 0) {
        memcpy(index->by_name, index->tensors, size);
        qsort(index->by_name, index->count, sizeof *index->by_name, compare_name);
    }
    for (size_t i = 1; i < index->count; i++) {
        if (compare_name(&index->by_name[i - 1], &index->by_name[i]) == 0)
            return bad_tensor(index->by_name[i]->name, "the name is there twice", e);
    }
    index->bytes += sizeof *index + 2 * size;
    return ERR_NONE;
}

enum err safetensors_header_size(const uint8_t prefix[SAFETENSORS_PREFIX_SIZE],
                                 uint64_t file_size, uint64_t *size, struct error *e)
{
    uint64_t value = 0;
    if (file_size < SAFETENSORS_PREFIX_SIZE)
        return MALFORMED(e, "the file is shorter than eight bytes");
    for (int i = SAFETENSORS_PREFIX_SIZE - 1; i >= 0; i--)
        value = value << 8 | prefix[i];
    if (value > SAFETENSORS_HEADER_MAXIMUM)
        return MALFORMED(e, "the header would have %" PRIu64 " bytes; %u are allowed",
                         value, SAFETENSORS_HEADER_MAXIMUM);
    if (value > file_size - SAFETENSORS_PREFIX_SIZE)
        return MALFORMED(e, "the header would end behind the end of the file");
    *size = value;
    return ERR_NONE;
}

enum err safetensors_parse(const char *header, size_t size, uint64_t file_size,
                           struct safetensors **out, struct error *e)
{
    if (file_size < SAFETENSORS_PREFIX_SIZE || size > SAFETENSORS_HEADER_MAXIMUM ||
        size > file_size - SAFETENSORS_PREFIX_SIZE)
        return MALFORMED(e, "the header's size does not fit the file");
    if (size == 0 || header[0] != '{')
        return MALFORMED(e, "the header does not begin with a brace");
    CLEANUP(safetensors_free_at) struct safetensors *index = alloc_zero(sizeof *index);
    struct parse p = {.index = index};
    struct scanner s = {header, header + size};
    index->header_size = size;
    enum err err = walk(&s, take_tensor, &p, e);
    json_decref(p.metadata);
    skip_space(&s);
    if (err == ERR_NONE && s.at != s.end)
        err = MALFORMED(e, "something follows the header's JSON");
    if (err == ERR_NONE)
        err = check_names(index, e);
    if (err == ERR_NONE && index->count > 0)
        qsort(index->tensors, index->count, sizeof *index->tensors, compare_place);
    if (err == ERR_NONE)
        err = place_all(index, file_size - SAFETENSORS_PREFIX_SIZE - size, e);
    if (err == ERR_NONE)
        *out = steal_ptr(index);
    return err;
}

void safetensors_free(struct safetensors *index)
{
    if (index == NULL)
        return;
    for (size_t i = 0; i < index->count; i++)
        free(index->tensors[i]);
    free(index->tensors);
    free(index->by_name);
    free(index);
}

static int compare_to_name(const void *name, const void *tensor)
{
    return strcmp(name, (*(struct safetensors_tensor *const *)tensor)->name);
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *index,
                                                  const char *name)
{
    struct safetensors_tensor *const *found =
        index->count == 0 ? NULL
                          : bsearch(name, index->by_name, index->count,
                                    sizeof *index->by_name, compare_to_name);
    return found != NULL ? *found : NULL;
}
