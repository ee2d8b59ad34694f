// SPDX-License-Identifier: Apache-2.0
#include "server/registry/tensor_list.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_text.h"

#define SUFFIX ".safetensors"
// What one call looks through, whether it is cached or not.
#define FILES_MAXIMUM 1024
#define HEADERS_MAXIMUM ((uint64_t)256 << 20)

struct effort {
    size_t files;
    uint64_t header_bytes;
};

static bool is_spent(const struct effort *effort)
{
    return effort->files >= FILES_MAXIMUM || effort->header_bytes >= HEADERS_MAXIMUM;
}

static bool is_safetensors(const struct content_file *file)
{
    size_t size = strlen(file->path), suffix = strlen(SUFFIX);
    return size >= suffix && strcmp(file->path + size - suffix, SUFFIX) == 0;
}

static enum err open_index(struct tensor_indexes *indexes,
                           const struct content_file *file, struct effort *effort,
                           struct cache_entry **entry, struct error *e)
{
    enum err err = tensor_index_get(indexes, &file->digest, entry, e);
    if (err != ERR_NONE)
        return err;
    const struct tensor_index *index = cache_value(*entry);
    effort->files++;
    effort->header_bytes += index->read_bytes;
    return ERR_NONE;
}

// ---- the list ---------------------------------------------------------------------

static void put_comma(struct buf *to)
{
    if (to->size > 0)
        buf_putc(to, ',');
}

static void put_tensor(struct buf *to, const char *path,
                       const struct safetensors_tensor *tensor)
{
    put_comma(to);
    buf_puts(to, "{\"name\":");
    json_text_string(to, tensor->name);
    buf_puts(to, ",\"file\":");
    json_text_string(to, path);
    buf_puts(to, ",\"dtype\":");
    json_text_string(to, tensor->dtype);
    buf_puts(to, ",\"shape\":[");
    for (size_t i = 0; i < tensor->rank; i++)
        buf_printf(to, "%s%" PRIu64, i > 0 ? "," : "", tensor->shape[i]);
    buf_printf(to, "],\"offset\":%" PRIu64 ",\"length\":%" PRIu64 "}", tensor->offset,
               tensor->length);
}

static void put_unreadable(struct buf *to, const char *path, const char *detail)
{
    put_comma(to);
    buf_puts(to, "{\"file\":");
    json_text_string(to, path);
    buf_puts(to, ",\"detail\":");
    json_text_string(to, detail);
    buf_putc(to, '}');
}

struct listing {
    uint64_t left; // of the limit
    struct effort effort;
    struct tensor_cursor *at;
    struct buf *tensors;
    struct buf *unreadable;
};

// From the cursor on; it stands behind the file when all of it is listed.
static void list_file(struct listing *l, const char *path,
                      const struct tensor_index *index)
{
    const struct safetensors *header = index->header;
    if (header == NULL) {
        put_unreadable(l->unreadable, path, index->detail);
        l->left--;
    } else {
        while (l->at->tensor < header->count && l->left > 0) {
            put_tensor(l->tensors, path, header->tensors[l->at->tensor++]);
            l->left--;
        }
        if (l->at->tensor < header->count)
            return;
    }
    *l->at = (struct tensor_cursor){.file = l->at->file + 1};
}

enum err tensor_list(struct tensor_indexes *indexes, const struct content *content,
                     uint64_t limit, struct tensor_cursor *at, bool *more,
                     struct buf *tensors, struct buf *unreadable, struct error *e)
{
    struct listing l = {
        .left = limit, .at = at, .tensors = tensors, .unreadable = unreadable};
    *more = false;
    while (at->file < content->files_count) {
        const struct content_file *file = &content->files[at->file];
        if (!is_safetensors(file)) {
            *at = (struct tensor_cursor){.file = at->file + 1};
            continue;
        }
        if (l.left == 0 || is_spent(&l.effort)) {
            *more = true;
            return ERR_NONE;
        }
        CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
        enum err err = open_index(indexes, file, &l.effort, &entry, e);
        if (err != ERR_NONE)
            return err;
        list_file(&l, file->path, cache_value(entry));
    }
    return ERR_NONE;
}

// ---- one tensor -------------------------------------------------------------------

static bool take_place(const struct content_file *file,
                       const struct tensor_index *index, const char *name,
                       struct tensor_place *place)
{
    const struct safetensors_tensor *tensor =
        index->header != NULL ? safetensors_find(index->header, name) : NULL;
    if (tensor == NULL)
        return false;
    *place = (struct tensor_place){file, tensor->offset, tensor->length};
    return true;
}

static enum err find_in(struct tensor_indexes *indexes, const struct content *content,
                        const char *path, const char *name, struct tensor_place *place,
                        struct error *e)
{
    struct effort effort = {0};
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    const struct content_file *file = content_find(content, path);
    if (file == NULL)
        return error_set_field(e, ERR_FILE_NOT_FOUND, "file",
                               "the version has no such file");
    if (!is_safetensors(file))
        return error_set_field(e, ERR_INVALID_FIELD, "file",
                               "this must end in " SUFFIX);
    enum err err = open_index(indexes, file, &effort, &entry, e);
    if (err != ERR_NONE)
        return err;
    const struct tensor_index *index = cache_value(entry);
    if (index->header == NULL)
        return error_set_field(e, ERR_TENSORS_UNREADABLE, "file", "%s", index->detail);
    if (!take_place(file, index, name, place))
        return error_set(e, ERR_TENSOR_NOT_FOUND, "the file has no such tensor");
    return ERR_NONE;
}

// The files that have the tensor, and those of which nobody can tell.
static enum err look_through(struct tensor_indexes *indexes,
                             const struct content *content, const char *name,
                             struct tensor_place *place, json_t *having,
                             json_t *unreadable, struct error *e)
{
    struct effort effort = {0};
    for (size_t i = 0; i < content->files_count; i++) {
        const struct content_file *file = &content->files[i];
        if (!is_safetensors(file))
            continue;
        if (is_spent(&effort))
            return error_set_field(e, ERR_INVALID_FIELD, "file",
                                   "this is needed: the version has too many " SUFFIX
                                   " files to look through, or too large headers");
        CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
        enum err err = open_index(indexes, file, &effort, &entry, e);
        if (err != ERR_NONE)
            return err;
        const struct tensor_index *index = cache_value(entry);
        if (index->header == NULL)
            json_array_append_new(unreadable, json_string(file->path));
        else if (take_place(file, index, name, place))
            json_array_append_new(having, json_string(file->path));
    }
    return ERR_NONE;
}

enum err tensor_find(struct tensor_indexes *indexes, const struct content *content,
                     const char *path, const char *name, struct tensor_place *place,
                     struct error *e)
{
    if (path != NULL)
        return find_in(indexes, content, path, name, place, e);
    AUTO_JSON json_t *having = json_array();
    AUTO_JSON json_t *unreadable = json_array();
    enum err err = look_through(indexes, content, name, place, having, unreadable, e);
    size_t count = json_array_size(having);
    if (err != ERR_NONE || count == 1)
        return err;
    if (count == 0) {
        error_set(e, ERR_TENSOR_NOT_FOUND, "the version has no such tensor");
        error_add(e, "unreadable", steal_ptr(unreadable));
        return ERR_TENSOR_NOT_FOUND;
    }
    error_set_field(e, ERR_TENSOR_AMBIGUOUS, "file",
                    "%zu files have a tensor of this name: say which", count);
    error_add(e, "files", steal_ptr(having));
    return ERR_TENSOR_AMBIGUOUS;
}
