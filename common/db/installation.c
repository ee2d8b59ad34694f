// SPDX-License-Identifier: Apache-2.0
#include "common/db/installation.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/process.h"

struct search {
    int major; // wanted, 0 = the newest
    struct installation best;
    int newest_seen; // of any age, for the error
};

void installation_clear(struct installation *installation)
{
    free(installation->bin);
    *installation = (struct installation){0};
}

// "postgres (PostgreSQL) 15.6 (Debian …)"; 0 when it is not to be had.
static int major_of(const char *program)
{
    const char *argv[] = {program, "--version", NULL};
    CLEANUP(buf_clear) struct buf output = {.maximum = 4096};
    int status = 0;
    int major = 0;
    if (process_run(argv, NULL, &output, &status, NULL) != ERR_NONE || status != 0 ||
        sscanf(buf_text(&output), "postgres (PostgreSQL) %d", &major) != 1)
        return 0;
    return major;
}

static void consider(struct search *search, const char *bin)
{
    AUTO_FREE char *postgres = alloc_printf("%s/postgres", bin);
    AUTO_FREE char *initdb = alloc_printf("%s/initdb", bin);
    if (access(postgres, X_OK) != 0 || access(initdb, X_OK) != 0)
        return;
    int major = major_of(postgres);
    if (major > search->newest_seen)
        search->newest_seen = major;
    bool fits = search->major == 0 ? major >= INSTALLATION_OLDEST
                                   : major == search->major;
    if (!fits || major <= search->best.major)
        return;
    installation_clear(&search->best);
    search->best = (struct installation){alloc_copy(bin), major};
}

static void consider_pattern(struct search *search, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        consider(search, found.gl_pathv[i]);
    globfree(&found);
}

// Each folder of PATH, and what a pg_config in it names.
static void consider_path(struct search *search)
{
    AUTO_FREE char *path = alloc_copy(getenv("PATH"));
    char *rest = NULL;
    for (char *dir = path != NULL ? strtok_r(path, ":", &rest) : NULL; dir != NULL;
         dir = strtok_r(NULL, ":", &rest)) {
        if (dir[0] != '/')
            continue;
        consider(search, dir);
        AUTO_FREE char *program = alloc_printf("%s/pg_config", dir);
        if (access(program, X_OK) != 0)
            continue;
        const char *argv[] = {program, "--bindir", NULL};
        CLEANUP(buf_clear) struct buf output = {.maximum = 4096};
        int status = 0;
        if (process_run(argv, NULL, &output, &status, NULL) != ERR_NONE || status != 0)
            continue;
        AUTO_FREE char *bin = alloc_copy(buf_text(&output));
        bin[strcspn(bin, "\n")] = '\0';
        consider(search, bin);
    }
}

enum err installation_find(int major, struct installation *installation,
                           struct error *e)
{
    struct search search = {.major = major};
    consider_pattern(&search, "/usr/lib/postgresql/*/bin");
    consider_pattern(&search, "/usr/pgsql-*/bin");
    consider_path(&search);
    *installation = search.best;
    if (search.best.bin != NULL)
        return ERR_NONE;
    if (major != 0)
        return error_set(e, ERR_INTERNAL,
                         "the data was made by PostgreSQL %d, which this machine does "
                         "not have (newest: %d): install it (`apt-get install "
                         "postgresql-%d`), or move the data on with pg_upgrade",
                         major, search.newest_seen, major);
    return error_set(e, ERR_INTERNAL,
                     "this machine has no PostgreSQL %d or newer (newest: %d): run "
                     "`apt-get install postgresql`, or set database_url",
                     INSTALLATION_OLDEST, search.newest_seen);
}
