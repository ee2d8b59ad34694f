// SPDX-License-Identifier: Apache-2.0
// File paths within a version. Input: the path.
// Parser: common/names.c: utf8_is_valid is_ascii is_nfc has_control component_is_valid
// Parser: common/names.c: components_are_valid path_check
// Options: -max_len=1100
#include <uninorm.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/names.h"
#include "tests/fuzz/fuzz.h"

static bool accepts(const char *format, const char *path)
{
    AUTO_FREE char *text = alloc_printf("%.*s%s%s", (int)strcspn(format, "%"), format,
                                        path, strchr(format, '%') + 1);
    struct error e = {0};
    return path_check(text, "path", &e) == ERR_NONE;
}

// No component is empty, `.` or `..`, looked at from both sides of each slash.
static void check_components(const char *path)
{
    REQUIRE(path[0] != '/' && path[strlen(path) - 1] != '/');
    REQUIRE(strstr(path, "//") == NULL && strstr(path, "/./") == NULL &&
            strstr(path, "/../") == NULL);
    REQUIRE(strncmp(path, "./", 2) != 0 && strncmp(path, "../", 3) != 0);
    REQUIRE(strcmp(path, ".") != 0 && strcmp(path, "..") != 0);
    const char *last = strrchr(path, '/');
    REQUIRE(last == NULL || (strcmp(last, "/.") != 0 && strcmp(last, "/..") != 0));
}

static void check_nfc(const char *path)
{
    size_t size = strlen(path), length = 0;
    AUTO_FREE uint8_t *normal =
        u8_normalize(UNINORM_NFC, (const uint8_t *)path, size, NULL, &length);
    REQUIRE(normal != NULL && length == size && memcmp(normal, path, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *path = fuzz_text(data, length);
    struct error e = {0};
    REQUIRE(utf8_is_valid((const char *)data, length) ==
            (strlen(path) == length && utf8_is_valid(path, strlen(path))));
    if (path_check(path, "path", &e) != ERR_NONE) {
        REQUIRE(e.code == ERR_INVALID_PATH && strcmp(e.field, "path") == 0);
        return 0;
    }
    size_t size = strlen(path);
    REQUIRE(size >= 1 && size <= PATH_MAXIMUM && utf8_is_valid(path, size));
    for (size_t i = 0; i < size; i++)
        REQUIRE((unsigned char)path[i] >= ' ' && path[i] != 0x7f);
    check_components(path);
    check_nfc(path);
    REQUIRE(!accepts("/%", path) && !accepts("%/", path) && !accepts("%/..", path));
    REQUIRE(!accepts("%\n", path) && !accepts("%\xff", path));
    REQUIRE(size + 2 > PATH_MAXIMUM || accepts("a/%", path));
    return 0;
}
