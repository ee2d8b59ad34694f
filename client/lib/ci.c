// SPDX-License-Identifier: Apache-2.0
#include "client/lib/ci.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

typedef const char *lookup_fn(const char *name);

struct ci_system {
    const char *name;
    const char *marker; // a variable that is set in its runs
    const char *run_id;
    const char *run_url; // NULL: made by hand below
    const char *commit;
    const char *repository;
};

static const struct ci_system systems[] = {
    {"github", "GITHUB_ACTIONS", "GITHUB_RUN_ID", NULL, "GITHUB_SHA", NULL},
    {"gitlab", "GITLAB_CI", "CI_PIPELINE_ID", "CI_PIPELINE_URL", "CI_COMMIT_SHA",
     "CI_PROJECT_URL"},
    {"buildkite", "BUILDKITE", "BUILDKITE_BUILD_ID", "BUILDKITE_BUILD_URL",
     "BUILDKITE_COMMIT", "BUILDKITE_REPO"},
    {"jenkins", "JENKINS_URL", "BUILD_TAG", "BUILD_URL", "GIT_COMMIT", "GIT_URL"},
};

const char *ci_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static char *copy_of(lookup_fn *lookup, const char *name)
{
    return name != NULL ? alloc_copy(lookup(name)) : NULL;
}

// A manifest is for ever and for every reader: user and password of an address, as a
// pipeline may clone with, stay out of it.
static char *without_password(char *url)
{
    char *host = url != NULL ? strstr(url, "://") : NULL;
    if (host == NULL)
        return url;
    host += strlen("://");
    size_t size = strcspn(host, "/?#");
    char *at = memrchr(host, '@', size);
    if (at != NULL)
        memmove(host, at + 1, strlen(at + 1) + 1);
    return url;
}

// GitHub gives the parts of its addresses only.
static void add_github(struct ci *ci, lookup_fn *lookup)
{
    const char *server = lookup("GITHUB_SERVER_URL");
    const char *repository = lookup("GITHUB_REPOSITORY");
    if (server == NULL || repository == NULL)
        return;
    ci->repository = alloc_printf("%s/%s", server, repository);
    if (ci->run_id != NULL)
        ci->run_url = alloc_printf("%s/actions/runs/%s", ci->repository, ci->run_id);
}

void ci_read(struct ci *ci, lookup_fn *lookup)
{
    *ci = (struct ci){0};
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
        const struct ci_system *system = &systems[i];
        if (lookup(system->marker) == NULL)
            continue;
        ci->system = system->name;
        ci->run_id = copy_of(lookup, system->run_id);
        ci->run_url = without_password(copy_of(lookup, system->run_url));
        ci->commit = copy_of(lookup, system->commit);
        ci->repository = without_password(copy_of(lookup, system->repository));
        if (i == 0)
            add_github(ci, lookup);
        return;
    }
}

void ci_clear(struct ci *ci)
{
    free(ci->run_id);
    free(ci->run_url);
    free(ci->commit);
    free(ci->repository);
    *ci = (struct ci){0};
}
