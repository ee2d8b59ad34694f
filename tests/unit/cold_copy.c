// SPDX-License-Identifier: Apache-2.0
// cold_copy FILE: writes the cold copy of a file to standard output, for the tests that
// are not written in C.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/unit/cold_memory.h"

static bool read_all(int fd, struct bytes *bytes)
{
    for (;;) {
        bytes->data = alloc_grow(bytes->data, bytes->size + CHAIN_CHUNK_SIZE, 1);
        ssize_t got = read(fd, bytes->data + bytes->size, CHAIN_CHUNK_SIZE);
        if (got <= 0)
            return got == 0;
        bytes->size += (size_t)got;
    }
}

int main(int argc, char **argv)
{
    AUTO_FD int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    CLEANUP(bytes_clear) struct bytes blob = {0}, copy = {0};
    struct error e = {0};
    if (fd < 0 || !read_all(fd, &blob)) {
        perror("cold_copy FILE");
        return 1;
    }
    if (memory_encode(blob.data, blob.size, 2, &copy, NULL, &e) != ERR_NONE) {
        fprintf(stderr, "%s\n", e.detail);
        return 1;
    }
    return fwrite(copy.data, 1, copy.size, stdout) == copy.size && fflush(stdout) == 0
               ? 0
               : 1;
}
