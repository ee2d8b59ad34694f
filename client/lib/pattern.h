// SPDX-License-Identifier: Apache-2.0
// Patterns of paths, as in a .strataignore file and in --include and --exclude. The
// subset of gitignore that is understood:
//   - one pattern a line; empty lines and lines that begin with # say nothing, and
//     white space at the end is dropped;
//   - * and ? match within one component, [...] is a set, ** as a whole component
//     matches any number of them;
//   - a pattern with a slash at its beginning or within counts from the root, one
//     without matches in every folder;
//   - a slash at the end matches folders only; what lies in a matched folder matches;
//   - ! brings back what an earlier pattern matched; the last match decides. What lies
//     in an ignored folder cannot be brought back.
// There is no escape for a leading # or !, and files below the root are not read.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pattern {
    char *text; // without the marks below
    bool negated;
    bool folder_only;
    bool rooted;
};

struct pattern_list {
    struct pattern *items;
    size_t count;
};

void pattern_list_clear(struct pattern_list *list);
// Adds a line; false when it holds no pattern.
bool pattern_add(struct pattern_list *list, const char *line);
// Adds each line of a text.
void pattern_add_lines(struct pattern_list *list, const char *text);
// Whether this very path matches: for a walk that does not enter matched folders.
bool pattern_match(const struct pattern_list *list, const char *path, bool is_folder);
// Whether a file's path or one of its folders matches: for lists of paths.
bool pattern_match_file(const struct pattern_list *list, const char *path);
