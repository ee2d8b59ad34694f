// SPDX-License-Identifier: Apache-2.0
#include "common/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int direct_open(int fd, uint64_t size)
{
    char path[64];
    if (size < DIRECT_FILE_MINIMUM)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

void *direct_buffer(size_t size)
{
    size_t whole = (size + DIRECT_ALIGNMENT - 1) / DIRECT_ALIGNMENT * DIRECT_ALIGNMENT;
    void *buffer = aligned_alloc(DIRECT_ALIGNMENT, whole);
    if (buffer == NULL)
        abort();
    return buffer;
}

static bool is_aligned(const char *bytes, size_t size, uint64_t offset)
{
    return ((uintptr_t)bytes | size | offset) % DIRECT_ALIGNMENT == 0;
}

bool direct_write(int direct_fd, int fd, const void *bytes, size_t size,
                  uint64_t offset)
{
    const char *next = bytes;
    while (size > 0) {
        bool direct = direct_fd >= 0 && is_aligned(next, size, offset);
        ssize_t n = pwrite(direct ? direct_fd : fd, next, size, (off_t)offset);
        if (n < 0 && errno == EINVAL && direct)
            direct_fd = -1; // a device with larger blocks
        else if (n < 0 && errno != EINTR)
            return false;
        if (n <= 0)
            continue;
        next += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}
