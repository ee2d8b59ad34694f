// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <unistd.h>

#include "storage/blob.h"
#include "storage/blob_source.h"

void blob_file_clear(struct blob_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    blob_source_free(file->source);
    file->source = NULL;
}

enum err blob_file_read(const struct blob_file *file, uint64_t offset, void *bytes,
                        size_t size, struct error *e)
{
    if (file->source != NULL)
        return blob_source_read_all(file->source, offset, bytes, size, e);
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pread(file->fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(e, ERR_UNAVAILABLE, "the copy of a blob cannot be read");
        done += (size_t)n;
    }
    return ERR_NONE;
}
