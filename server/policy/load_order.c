// SPDX-License-Identifier: Apache-2.0
#include "server/policy/load_order.h"

#include <string.h>

#include "common/cleanup.h"

enum load_step {
    STEP_CONFIG,
    STEP_INDEX,
    STEP_SMALL,
    STEP_WEIGHTS,
    STEP_OTHER_WEIGHTS
};

static bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

static enum load_step step_of(const char *path)
{
    static const char *const others[] = {".bin", ".pt",   ".pth", ".ckpt",   ".gguf",
                                         ".h5",  ".onnx", ".npz", ".msgpack"};
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (strcmp(name, "config.json") == 0 || strcmp(name, "model_index.json") == 0)
        return STEP_CONFIG;
    if (ends_with(name, ".index.json"))
        return STEP_INDEX;
    if (ends_with(name, ".safetensors"))
        return STEP_WEIGHTS;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (ends_with(name, others[i]))
            return STEP_OTHER_WEIGHTS;
    }
    return STEP_SMALL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_of(const char **text)
{
    while (**text == '0')
        ++*text;
    return strspn(*text, "0123456789");
}

// Runs of digits as numbers, so that shard 10 comes after shard 9.
static int compare_natural(const char *a, const char *b)
{
    const char *whole_a = a, *whole_b = b;
    while (*a != '\0' && *b != '\0') {
        if (!is_digit(*a) || !is_digit(*b)) {
            if (*a != *b)
                return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            a++;
            b++;
            continue;
        }
        size_t size_a = digits_of(&a), size_b = digits_of(&b);
        if (size_a != size_b)
            return size_a < size_b ? -1 : 1;
        int order = memcmp(a, b, size_a);
        if (order != 0)
            return order;
        a += size_a;
        b += size_b;
    }
    if (*a != *b)
        return *a == '\0' ? -1 : 1;
    return strcmp(whole_a, whole_b); // 007 and 7
}

int load_order_compare(const void *a, const void *b)
{
    const struct content_file *left = *(const struct content_file *const *)a;
    const struct content_file *right = *(const struct content_file *const *)b;
    enum load_step left_step = step_of(left->path), right_step = step_of(right->path);
    if (left_step != right_step)
        return left_step < right_step ? -1 : 1;
    return compare_natural(left->path, right->path);
}
