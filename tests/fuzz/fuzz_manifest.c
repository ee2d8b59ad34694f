// SPDX-License-Identifier: Apache-2.0
// A manifest as the client reads it. Input: its text.
// Parser: client/lib/version.c: version_clear read_digest read_file check_paths
// Parser: client/lib/version.c: version_read_manifest version_file_find
// Options: -max_len=1024
#include "client/lib/version.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void check_files(const struct version *version)
{
    uint64_t total = 0;
    struct error e = {0};
    for (size_t i = 0; i < version->count; i++) {
        const struct version_file *file = &version->files[i];
        REQUIRE(path_check(file->path, "path", &e) == ERR_NONE);
        REQUIRE(file->size <= INT64_MAX);
        REQUIRE(!__builtin_add_overflow(total, file->size, &total));
        // A path names one file.
        REQUIRE(version_file_find(version, file->path) == file);
    }
    REQUIRE(total == version->total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    CLEANUP(version_clear) struct version version = {0}, again = {0};
    struct strata_error e = {0};
    enum strata_status status = version_read_manifest(text, &version, &e);
    REQUIRE(version_file_find(&version, "/") == NULL);
    if (status != STRATA_OK) {
        REQUIRE(status == STRATA_CORRUPT && e.detail[0] != '\0');
        return 0;
    }
    REQUIRE(version.number >= 1 && version.model != NULL);
    check_files(&version);
    REQUIRE(version_read_manifest(text, &again, &e) == STRATA_OK);
    REQUIRE(again.count == version.count && again.total == version.total);
    return 0;
}
