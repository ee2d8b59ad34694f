// SPDX-License-Identifier: Apache-2.0
// The load client of the benchmarks: the same for Strata and for its peers, and cheap,
// so that the server is what is measured. `get` asks over keep-alive connections and
// throws the bodies away inside the kernel; `put` sends a file with sendfile. Both
// print one JSON object.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HEADERS_SIZE 2048

struct load {
    const char *address; // ADDRESS:PORT
    const char *path;    // `{}` in it stands for the number of the request
    const char *method;
    char headers[HEADERS_SIZE]; // further header lines, each with its CR LF
    int streams;                // connections
    double seconds;             // get: for how long new requests are begun
    double rate;                // get: requests begun in a second, 0: closed loop
    int64_t count;              // get: numbers go from 0 to count - 1 and round again
    int64_t file_size;          // get with ranges: bytes of the file
    int64_t range_size;         // get: bytes asked for at a time, 0: no Range header
    const char *file;           // put: what is sent
    int64_t part_size;          // put: bytes of a part, 0: the whole file is one
    int first_part;             // put: the number of the first part
};

void load_get(const struct load *load);
void load_put(const struct load *load);

// Writes the path of request `number` into `path`; dies when it does not fit.
void load_path(const struct load *load, int64_t number, char *path, size_t size);
