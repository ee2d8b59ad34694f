// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/byte_range.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_transfer.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json_text.h"
#include "common/names.h"

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

// The model's name without its namespace and selector.
static char *default_folder(const char *ref)
{
    const char *slash = strchr(ref, '/');
    const char *name = slash != NULL ? slash + 1 : ref;
    return alloc_copy_n(name, strcspn(name, "@"));
}

static void print_pulled(const json_t *json)
{
    char received[SIZE_TEXT], total[SIZE_TEXT];
    size_format(number_of(json, "received"), received);
    size_format(number_of(json, "total"), total);
    AUTO_FREE char *model = member_text(json, "model");
    AUTO_FREE char *number = member_text(json, "version");
    AUTO_FREE char *folder = member_text(json, "folder");
    bool rest = number_of(json, "received") < number_of(json, "total");
    print_line("received %s of %s%s", received, total,
               rest ? ", the rest was there" : "");
    print_line("%s@%s is in %s: %llu files, verified", model, number, folder,
               (unsigned long long)number_of(json, "files"));
}

enum strata_status cmd_pull(struct invocation *invocation, struct strata_error *e)
{
    const char *ref = invocation->arguments[0];
    AUTO_FREE char *folder = invocation->argument_count > 1
                                 ? alloc_copy(invocation->arguments[1])
                                 : default_folder(ref);
    AUTO_FREE const char **include = option_values(invocation, "include");
    AUTO_FREE const char **exclude = option_values(invocation, "exclude");
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status != STRATA_OK)
        return status;
    const struct strata_pull pull = {
        .ref = ref, .folder = folder, .include = include, .exclude = exclude};
    struct progress progress;
    progress_init(&progress, "received", option_given(invocation, "quiet"));
    const struct strata_watch watch = {.progress = progress_show, .context = &progress};
    AUTO_FREE char *text = NULL;
    status = strata_pull(client, &pull, &watch, &text, e);
    progress_end(&progress);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    print_pulled(json);
    return STRATA_OK;
}

static void print_verified(const json_t *json)
{
    size_t i;
    json_t *bad;
    json_array_foreach(json_object_get(json, "bad"), i, bad)
    {
        AUTO_FREE char *path = member_text(bad, "path");
        AUTO_FREE char *problem = member_text(bad, "problem");
        print_line("BAD  %s: %s", path, problem);
    }
    AUTO_FREE char *model = member_text(json, "model");
    AUTO_FREE char *number = member_text(json, "version");
    char total[SIZE_TEXT];
    size_format(number_of(json, "total"), total);
    print_line("%s@%s: %llu files, %s, %zu bad", model, number,
               (unsigned long long)number_of(json, "files"), total, i);
}

enum strata_status cmd_verify(struct invocation *invocation, struct strata_error *e)
{
    bool local = invocation->argument_count == 2;
    const char *ref = invocation->arguments[local ? 1 : 0];
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status != STRATA_OK)
        return status;
    struct progress progress;
    progress_init(&progress, "verified", option_given(invocation, "quiet"));
    const struct strata_watch watch = {.progress = progress_show, .context = &progress};
    AUTO_FREE char *text = NULL;
    status = strata_verify(client, ref, local ? invocation->arguments[0] : NULL, &watch,
                           &text, e);
    progress_end(&progress);
    if (text == NULL)
        return status;
    if (option_given(invocation, "json")) {
        // The document says what is bad; a second one about it would be too many.
        struct strata_error written = {0};
        enum strata_status printed = print_json(text, &written);
        *e = written;
        return printed != STRATA_OK ? printed : status;
    }
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    print_verified(json);
    return status;
}

// Where `cat` writes to: what FILE held stays until there are bytes to take its place.
struct output {
    const char *path; // NULL: standard output
    int fd;           // -1 until it is opened
    uint64_t written;
};

static void output_clear(struct output *output)
{
    if (output->fd >= 0)
        close(output->fd);
}

static enum strata_status output_open(struct output *output, struct strata_error *e)
{
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    if (output->fd < 0)
        output->fd = output->path != NULL ? open(output->path, flags, 0666)
                                          : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (output->fd >= 0)
        return STRATA_OK;
    return fail_errno(e, errno, "%s",
                      output->path != NULL ? output->path : "standard output");
}

static enum strata_status write_bytes(void *context, const void *bytes, size_t size,
                                      struct strata_error *e)
{
    struct output *output = context;
    enum strata_status status = output_open(output, e);
    if (status != STRATA_OK)
        return status;
    const char *next = bytes;
    while (size > 0) {
        ssize_t put = write(output->fd, next, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            end_if_unread(errno);
            return fail_errno(e, errno, "writing the output");
        }
        next += put;
        size -= (size_t)put;
        output->written += (uint64_t)put;
    }
    return STRATA_OK;
}

static enum strata_status cat_arguments(const struct invocation *invocation,
                                        struct byte_range *range, struct output *output,
                                        struct strata_error *e)
{
    const char *text = option_value(invocation, "range");
    if (text != NULL && !byte_range_parse(text, range))
        return fail_set(e, STRATA_USAGE, "--range %s: A-B, A- or -N is needed", text);
    output->path = option_value(invocation, "output");
    if (!option_given(invocation, "json"))
        return STRATA_OK;
    if (output->path == NULL)
        return fail_set(e, STRATA_USAGE, "--json needs --output FILE for the bytes");
    if (!utf8_is_valid(output->path, strlen(output->path)))
        return fail_set(e, STRATA_USAGE, "--output %s is not UTF-8", output->path);
    return STRATA_OK;
}

enum strata_status cmd_cat(struct invocation *invocation, struct strata_error *e)
{
    struct byte_range range = {.length = UINT64_MAX};
    CLEANUP(output_clear) struct output output = {.fd = -1};
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = cat_arguments(invocation, &range, &output, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    const char *ref = invocation->arguments[0];
    const char *path = invocation->arguments[1];
    const char *tensor = option_value(invocation, "tensor");
    if (status == STRATA_OK && tensor != NULL)
        status = strata_tensor_read(client, ref, path, tensor, range.offset,
                                    range.length, write_bytes, &output, e);
    else if (status == STRATA_OK)
        status = strata_read(client, ref, path, range.offset, range.length, write_bytes,
                             &output, e);
    if (status == STRATA_OK)
        status = output_open(&output, e); // no bytes are a file as well
    if (status != STRATA_OK || !option_given(invocation, "json"))
        return status;
    AUTO_JSON json_t *json =
        json_pack("{s:s, s:s, s:s*, s:s, s:I}", "ref", ref, "path", path, "tensor",
                  tensor, "output", output.path, "bytes", (json_int_t)output.written);
    AUTO_FREE char *document = json_text_dump(json, NULL);
    return print_json(document, e);
}
