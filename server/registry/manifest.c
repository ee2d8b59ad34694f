// SPDX-License-Identifier: Apache-2.0
#include "server/registry/manifest.h"

#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_text.h"

static bool put_member(struct buf *to, const char *key, const char *value)
{
    return buf_printf(to, ",\"%s\":", key) && json_text_string(to, value);
}

static bool put_parent(struct buf *to, const struct origin_parent *parent)
{
    char hex[DIGEST_HEX_SIZE];
    bool fine;
    if (parent->uri != NULL) {
        fine = buf_puts(to, "{\"uri\":") && json_text_string(to, parent->uri);
    } else {
        digest_format(&parent->key.digest, hex);
        fine = buf_printf(to, "{\"ref\":\"%s@%" PRId64 "\",\"digest\":\"sha256:%s\"",
                          parent->model, parent->key.number, hex);
    }
    return fine && put_member(to, "relation", parent->relation) && buf_putc(to, '}');
}

static bool put_parents(struct buf *to, const struct origins *origins)
{
    bool fine = buf_puts(to, "{\"parents\":[");
    for (size_t i = 0; fine && i < origins->parents_count; i++)
        fine = (i == 0 || buf_putc(to, ',')) && put_parent(to, &origins->parents[i]);
    return fine && buf_putc(to, ']');
}

static bool put_dataset(struct buf *to, const struct origin_dataset *dataset)
{
    return buf_puts(to, "{\"uri\":") && json_text_string(to, dataset->uri) &&
           put_member(to, "sha256", dataset->sha256) &&
           put_member(to, "name", dataset->name) && buf_putc(to, '}');
}

static bool put_datasets(struct buf *to, const struct origins *origins)
{
    bool fine = buf_puts(to, ",\"datasets\":[");
    for (size_t i = 0; fine && i < origins->datasets_count; i++)
        fine = (i == 0 || buf_putc(to, ',')) && put_dataset(to, &origins->datasets[i]);
    return fine && buf_putc(to, ']');
}

static bool put_run(struct buf *to, const struct origin_run *run)
{
    if (run == NULL)
        return buf_puts(to, ",\"run\":null");
    return buf_puts(to, ",\"run\":{\"id\":") && json_text_string(to, run->id) &&
           put_member(to, "url", run->url) && put_member(to, "system", run->system) &&
           buf_putc(to, '}');
}

static bool put_code(struct buf *to, const struct origin_code *code)
{
    if (code == NULL)
        return buf_puts(to, ",\"code\":null");
    return buf_puts(to, ",\"code\":{\"repository\":") &&
           json_text_string(to, code->repository) &&
           put_member(to, "commit", code->commit) &&
           buf_printf(to, ",\"dirty\":%s}", code->dirty ? "true" : "false");
}

static bool put_object(struct buf *to, const char *key, const json_t *object)
{
    return buf_printf(to, ",\"%s\":", key) &&
           (object != NULL ? json_text_value(to, object) : buf_puts(to, "{}"));
}

char *origins_text(const struct origins *origins)
{
    CLEANUP(buf_clear) struct buf to = {0};
    if (put_parents(&to, origins) && put_datasets(&to, origins) &&
        put_run(&to, origins->run) && put_code(&to, origins->code) &&
        put_object(&to, "params", origins->params) &&
        put_object(&to, "metrics", origins->metrics) && buf_putc(&to, '}'))
        return buf_steal(&to);
    return NULL;
}

static bool put_file(struct buf *to, const struct manifest_file *file)
{
    char digest[DIGEST_HEX_SIZE], root[DIGEST_HEX_SIZE];
    digest_format(&file->digest, digest);
    digest_format(&file->chain_root, root);
    return buf_puts(to, "{\"path\":") && json_text_string(to, file->path) &&
           buf_printf(to, ",\"size\":%" PRIu64 ",\"sha256\":\"%s\"", file->size,
                      digest) &&
           buf_printf(to, ",\"chain_root\":\"%s\"", root) &&
           (file->media_type == NULL ||
            put_member(to, "media_type", file->media_type)) &&
           buf_putc(to, '}');
}

char *manifest_text(const struct manifest *manifest, size_t *size)
{
    CLEANUP(buf_clear) struct buf to = {0};
    char created[CLOCK_TEXT_SIZE];
    clock_format(manifest->created_at_us, created);
    bool fine = buf_printf(&to,
                           "{\"model\":\"%s\",\"version\":%" PRId64
                           ",\"created_at\":\"%s\",\"files\":[",
                           manifest->model, manifest->number, created);
    for (size_t i = 0; fine && i < manifest->files_count; i++)
        fine = (i == 0 || buf_putc(&to, ',')) && put_file(&to, &manifest->files[i]);
    const char *origins = manifest->origins;
    fine = fine && buf_puts(&to, "],") && // the braces of the origins are not copied
           buf_append(&to, origins + 1, strlen(origins) - 1);
    if (!fine)
        return NULL;
    *size = to.size;
    return buf_steal(&to);
}
