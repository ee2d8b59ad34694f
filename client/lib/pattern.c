// SPDX-License-Identifier: Apache-2.0
#include "client/lib/pattern.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

void pattern_list_clear(struct pattern_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
    *list = (struct pattern_list){0};
}

static bool add_n(struct pattern_list *list, const char *line, size_t size)
{
    while (size > 0 && strchr(" \t\r", line[size - 1]) != NULL)
        size--;
    if (size == 0 || line[0] == '#')
        return false;
    struct pattern pattern = {0};
    if (line[0] == '!') {
        pattern.negated = true;
        line++;
        size--;
    }
    if (size > 0 && line[size - 1] == '/') {
        pattern.folder_only = true;
        size--;
    }
    pattern.rooted = memchr(line, '/', size) != NULL;
    if (size > 0 && line[0] == '/') {
        line++;
        size--;
    }
    if (size == 0)
        return false;
    pattern.text = alloc_copy_n(line, size);
    list->items = alloc_grow(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = pattern;
    return true;
}

bool pattern_add(struct pattern_list *list, const char *line)
{
    return add_n(list, line, strlen(line));
}

void pattern_add_lines(struct pattern_list *list, const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        add_n(list, text, size);
        text += size + (text[size] == '\n');
    }
}

// Matches component by component, so that ** can stand for any number of them.
static bool match_rooted(const char *pattern, const char *path)
{
    size_t size = strcspn(pattern, "/");
    if (size == 2 && strncmp(pattern, "**", 2) == 0) {
        const char *rest = pattern + 2;
        if (*rest == '\0')
            return true;
        for (;;) {
            if (match_rooted(rest + 1, path))
                return true;
            path = strchr(path, '/');
            if (path == NULL)
                return false;
            path++;
        }
    }
    size_t length = strcspn(path, "/");
    AUTO_FREE char *one = alloc_copy_n(pattern, size);
    AUTO_FREE char *component = alloc_copy_n(path, length);
    if (fnmatch(one, component, 0) != 0)
        return false;
    if (pattern[size] == '\0' || path[length] == '\0')
        return pattern[size] == path[length];
    return match_rooted(pattern + size + 1, path + length + 1);
}

static bool match_one(const struct pattern *pattern, const char *path, bool is_folder)
{
    if (pattern->folder_only && !is_folder)
        return false;
    if (pattern->rooted)
        return match_rooted(pattern->text, path);
    const char *slash = strrchr(path, '/');
    return fnmatch(pattern->text, slash != NULL ? slash + 1 : path, 0) == 0;
}

bool pattern_match(const struct pattern_list *list, const char *path, bool is_folder)
{
    for (size_t i = list->count; i-- > 0;) {
        if (match_one(&list->items[i], path, is_folder))
            return !list->items[i].negated;
    }
    return false;
}

bool pattern_match_file(const struct pattern_list *list, const char *path)
{
    AUTO_FREE char *folder = alloc_copy(path);
    for (char *slash = strchr(folder, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (pattern_match(list, folder, true))
            return true;
        *slash = '/';
    }
    return pattern_match(list, path, false);
}
