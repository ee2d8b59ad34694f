// SPDX-License-Identifier: Apache-2.0
// Files that the build puts into the programs (scripts/embed.sh writes the sources).
// Every text is followed by a NUL that its size does not count; all of it is constant.
#pragma once

#include <stddef.h>

struct embedded_migration {
    int number;       // the NNNN of migrations/NNNN_name.sql
    const char *name; // the name of it
    const char *sql;
};

// In ascending order of number.
extern const struct embedded_migration embedded_migrations[];
extern const size_t embedded_migrations_count;

// docs/openapi.yaml
extern const char embedded_openapi[];
extern const size_t embedded_openapi_size;
