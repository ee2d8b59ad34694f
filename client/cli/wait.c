// SPDX-License-Identifier: Apache-2.0
#include "client/cli/wait.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/lib/fail.h"
#include "client/lib/strata_tiers.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#define PAUSE_MS 300
// Moves are run in about the order in which they were begun: only so many of those that
// have not ended are asked for at a time.
#define ASKED_MAXIMUM 32

static const char *text_of(const json_t *move, const char *key)
{
    const char *text = json_string_value(json_object_get(move, key));
    return text != NULL ? text : "";
}

static bool is_state(const json_t *move, const char *state)
{
    return strcmp(text_of(move, "state"), state) == 0;
}

static bool has_ended(const json_t *move)
{
    return is_state(move, "done") || is_state(move, "failed") ||
           is_state(move, "cancelled");
}

static uint64_t number_of(const json_t *move, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(move, key));
}

// Copying and verifying are two passes over the same bytes.
static uint64_t bytes_done(const json_t *move)
{
    uint64_t size = number_of(move, "size"), done = number_of(move, "bytes_done");
    if (has_ended(move))
        return size;
    if (is_state(move, "verifying"))
        return (size + done) / 2;
    return is_state(move, "copying") ? done / 2 : 0;
}

static void show(struct progress *progress, const json_t *moves, uint64_t present)
{
    struct strata_progress now = {.files = json_array_size(moves), .present = present};
    uint64_t done = 0;
    size_t i;
    json_t *move;
    json_array_foreach(moves, i, move)
    {
        now.total += number_of(move, "size");
        now.files_done += has_ended(move);
        done += bytes_done(move);
    }
    now.moved = done > present ? done - present : 0;
    progress_show(progress, &now);
}

// An attempt that failed is told of once; the server tries again.
static void tell_retry(struct progress *progress, const json_t *before,
                       const json_t *move)
{
    const char *error = text_of(move, "error");
    if (progress->quiet || error[0] == '\0' || has_ended(move) ||
        strcmp(text_of(before, "error"), error) == 0)
        return;
    progress_end(progress);
    fprintf(stderr, "strata: move %llu is tried again: ",
            (unsigned long long)number_of(move, "id"));
    print_text(stderr, error);
    fputc('\n', stderr);
}

static enum strata_status ask(struct strata_client *client, struct progress *progress,
                              json_t *moves, size_t index, struct strata_error *e)
{
    json_t *before = json_array_get(moves, index);
    AUTO_FREE char *id =
        alloc_printf("%llu", (unsigned long long)number_of(before, "id"));
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_move_get(client, id, &text, e);
    if (status != STRATA_OK)
        return status;
    json_t *move = json_loads(text, 0, NULL);
    tell_retry(progress, before, move);
    json_array_set_new(moves, index, move);
    return STRATA_OK;
}

// *left: how many have not ended.
static enum strata_status ask_all(struct strata_client *client,
                                  struct progress *progress, json_t *moves,
                                  size_t *left, struct strata_error *e)
{
    enum strata_status status = STRATA_OK;
    size_t asked = 0;
    *left = 0;
    for (size_t i = 0; status == STRATA_OK && i < json_array_size(moves); i++) {
        if (!has_ended(json_array_get(moves, i)) && asked++ < ASKED_MAXIMUM)
            status = ask(client, progress, moves, i, e);
        *left += !has_ended(json_array_get(moves, i));
    }
    return status;
}

static enum strata_status judge(const json_t *moves, struct strata_error *e)
{
    size_t i, bad = 0;
    const json_t *first = NULL;
    json_t *move;
    json_array_foreach(moves, i, move)
    {
        if (is_state(move, "done"))
            continue;
        bad++;
        first = first != NULL ? first : move;
    }
    if (bad == 0)
        return STRATA_OK;
    const char *error = text_of(first, "error");
    return fail_set(e, STRATA_FAILED,
                    "%zu of %zu moves did not end well: move %llu is %s%s%s", bad, i,
                    (unsigned long long)number_of(first, "id"), text_of(first, "state"),
                    error[0] != '\0' ? ": " : "", error);
}

enum strata_status moves_wait(const struct invocation *invocation,
                              struct strata_client *client, json_t *moves,
                              struct strata_error *e)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    struct progress progress;
    uint64_t present = 0;
    size_t left = 0, i;
    json_t *move;
    progress_init(&progress, "moved", option_given(invocation, "quiet"));
    progress.items = "blobs";
    json_array_foreach(moves, i, move)
    {
        left += !has_ended(move);
        present += bytes_done(move);
    }
    enum strata_status status = STRATA_OK;
    while (status == STRATA_OK && left > 0) {
        status = ask_all(client, &progress, moves, &left, e);
        show(&progress, moves, present);
        if (left > 0)
            nanosleep(&pause, NULL);
    }
    progress_end(&progress);
    return status != STRATA_OK ? status : judge(moves, e);
}
