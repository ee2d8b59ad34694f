// SPDX-License-Identifier: Apache-2.0
// `strata decode`: a cold object becomes its blob, with no server.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/cold.h"
#include "common/json_text.h"
#include "common/names.h"

#define JOBS_MAXIMUM 256

struct decoding {
    const char *from;
    int from_fd;
    uint64_t stored_size;
    const char *to; // NULL: standard output
    int to_fd;
    char *partial; // what `to` is called until it is whole; NULL: it is not there
};

static void decoding_clear(struct decoding *decoding)
{
    if (decoding->partial != NULL)
        unlink(decoding->partial);
    free(decoding->partial);
    if (decoding->from_fd >= 0)
        close(decoding->from_fd);
    if (decoding->to_fd >= 0)
        close(decoding->to_fd);
}

static enum err read_file(void *context, uint64_t offset, void *bytes, size_t size,
                          struct error *e)
{
    const struct decoding *decoding = context;
    char *next = bytes;
    while (size > 0) {
        ssize_t got = pread(decoding->from_fd, next, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(e, errno, "%s", decoding->from);
        if (got == 0)
            return error_set(e, ERR_COLD_UNREADABLE, "it was cut short meanwhile");
        next += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return ERR_NONE;
}

static enum err write_file(void *context, const void *bytes, size_t size,
                           struct error *e)
{
    const struct decoding *decoding = context;
    const char *next = bytes;
    while (size > 0) {
        ssize_t put = write(decoding->to_fd, next, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            if (decoding->to == NULL)
                end_if_unread(errno);
            return error_set_errno(e, errno, "writing the output");
        }
        next += put;
        size -= (size_t)put;
    }
    return ERR_NONE;
}

static enum strata_status open_from(struct decoding *decoding, struct strata_error *e)
{
    struct stat st;
    // O_NONBLOCK: a pipe is refused below, not waited for.
    decoding->from_fd = open(decoding->from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (decoding->from_fd < 0 || fstat(decoding->from_fd, &st) != 0)
        return fail_errno(e, errno, "%s", decoding->from);
    if (!S_ISREG(st.st_mode))
        return fail_set(e, STRATA_LOCAL, "%s is not a regular file", decoding->from);
    decoding->stored_size = (uint64_t)st.st_size;
    return STRATA_OK;
}

static enum strata_status open_to(struct decoding *decoding, struct strata_error *e)
{
    struct stat st;
    if (decoding->to == NULL) {
        decoding->to_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        return decoding->to_fd >= 0 ? STRATA_OK : fail_errno(e, errno, "output");
    }
    // What is renamed over it would take the place of a device or of a link.
    if (lstat(decoding->to, &st) == 0 && !S_ISREG(st.st_mode))
        return fail_set(e, STRATA_LOCAL, "%s is not a regular file", decoding->to);
    AUTO_FREE char *partial = alloc_printf("%s.partial-XXXXXX", decoding->to);
    decoding->to_fd = mkostemp(partial, O_CLOEXEC);
    if (decoding->to_fd < 0)
        return fail_errno(e, errno, "%s", partial);
    decoding->partial = steal_ptr(partial);
    // As any new file: mkostemp makes it the owner's alone.
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(decoding->to_fd, 0666 & ~mask) != 0)
        return fail_errno(e, errno, "%s", decoding->partial);
    return STRATA_OK;
}

// Gives the whole file its name, durably.
static enum strata_status finish(struct decoding *decoding, struct strata_error *e)
{
    if (decoding->to == NULL)
        return STRATA_OK;
    AUTO_FREE char *copy = alloc_copy(decoding->to);
    if (fsync(decoding->to_fd) != 0 || rename(decoding->partial, decoding->to) != 0)
        return fail_errno(e, errno, "%s", decoding->to);
    free(steal_ptr(decoding->partial));
    AUTO_FD int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // A folder that may be written but not read cannot be synced by its user.
    if (folder < 0 && errno == EACCES)
        return STRATA_OK;
    if (folder < 0 || fsync(folder) != 0)
        return fail_errno(e, errno, "the folder of %s", decoding->to);
    return STRATA_OK;
}

static enum strata_status decode(struct decoding *decoding, unsigned threads,
                                 struct digest *digest, uint64_t *size,
                                 struct strata_error *e)
{
    struct error failed = {0};
    const struct cold_decode_request request = {
        .stored_size = decoding->stored_size,
        .read = read_file,
        .write = write_file,
        .context = decoding,
        .threads = threads,
    };
    enum err err = cold_decode(&request, digest, size, &failed);
    enum strata_status status = STRATA_OK;
    if (err == ERR_COLD_UNREADABLE)
        status = fail_set(e, STRATA_CORRUPT, "%s is no whole cold object: %s",
                          decoding->from, failed.detail);
    else if (err != ERR_NONE)
        status = fail_set(e, STRATA_LOCAL, "%s", failed.detail);
    error_clear(&failed);
    return status;
}

static enum strata_status decode_arguments(const struct invocation *invocation,
                                           struct decoding *decoding, long *jobs,
                                           struct strata_error *e)
{
    decoding->from = invocation->arguments[0];
    decoding->to = option_value(invocation, "output");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 1 || processors > JOBS_MAXIMUM)
        processors = processors < 1 ? 1 : JOBS_MAXIMUM;
    enum strata_status status =
        option_number(invocation, "jobs", 1, JOBS_MAXIMUM, processors, jobs, e);
    if (status != STRATA_OK || !option_given(invocation, "json"))
        return status;
    if (decoding->to == NULL)
        return fail_set(e, STRATA_USAGE, "--json needs --output FILE for the bytes");
    if (!utf8_is_valid(decoding->to, strlen(decoding->to)))
        return fail_set(e, STRATA_USAGE, "--output %s is not UTF-8", decoding->to);
    return STRATA_OK;
}

enum strata_status cmd_decode(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(decoding_clear) struct decoding decoding = {.from_fd = -1, .to_fd = -1};
    struct digest digest;
    uint64_t size = 0;
    long jobs = 1;
    enum strata_status status = decode_arguments(invocation, &decoding, &jobs, e);
    if (status == STRATA_OK)
        status = open_from(&decoding, e);
    if (status == STRATA_OK)
        status = open_to(&decoding, e);
    if (status == STRATA_OK)
        status = decode(&decoding, (unsigned)jobs, &digest, &size, e);
    if (status == STRATA_OK)
        status = finish(&decoding, e);
    if (status != STRATA_OK || decoding.to == NULL)
        return status;
    char hex[DIGEST_HEX_SIZE], text[SIZE_TEXT];
    digest_format(&digest, hex);
    size_format(size, text);
    if (!option_given(invocation, "json")) {
        print_line("%s: %s, sha256 %s, verified", decoding.to, text, hex);
        return STRATA_OK;
    }
    AUTO_JSON json_t *json = json_pack(
        "{s:s, s:I, s:I, s:s}", "sha256", hex, "size", (json_int_t)size, "stored_size",
        (json_int_t)decoding.stored_size, "output", decoding.to);
    AUTO_FREE char *document = json_text_dump(json, NULL);
    return print_json(document, e);
}
