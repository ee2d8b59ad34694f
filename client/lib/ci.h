// SPDX-License-Identifier: Apache-2.0
// What the environment of a CI run says about it: GitHub Actions, GitLab CI, Jenkins,
// Buildkite.
#pragma once

#include <stdbool.h>

// Texts are owned, and NULL where the system does not say.
struct ci {
    const char *system; // "github", "gitlab", "jenkins", "buildkite"; NULL: no CI run
    char *run_id;       // stays the same when the run is repeated
    char *run_url;
    char *commit;
    char *repository;
};

// `lookup` is getenv, or a table in tests.
void ci_read(struct ci *ci, const char *(*lookup)(const char *name));
const char *ci_environment(const char *name); // getenv, with "" as NULL
void ci_clear(struct ci *ci);
