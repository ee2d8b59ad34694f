// SPDX-License-Identifier: Apache-2.0
#include "common/ordered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/alloc.h"

#define PIECES 200

struct job {
    atomic_size_t begun, ended, made;
    size_t emitted[PIECES], count;
    size_t fail_make, fail_emit; // piece, or PIECES
};

struct worker {
    size_t piece;
};

static void *begin(void *context)
{
    struct job *job = context;
    atomic_fetch_add(&job->begun, 1);
    return alloc_zero(sizeof(struct worker));
}

static enum err make(void *context, void *worker, size_t index, struct error *e)
{
    struct job *job = context;
    ((struct worker *)worker)->piece = index;
    atomic_fetch_add(&job->made, 1);
    // So that later pieces are often ready before earlier ones.
    const struct timespec pause = {0, (long)(index * 7919 % 5) * 20000};
    nanosleep(&pause, NULL);
    return index >= job->fail_make ? error_set(e, ERR_CONFLICT, "made %zu", index)
                                   : ERR_NONE;
}

static enum err emit(void *context, void *worker, size_t index, struct error *e)
{
    struct job *job = context;
    if (((struct worker *)worker)->piece != index)
        return error_set(e, ERR_INTERNAL, "the piece of another worker");
    if (index == job->fail_emit)
        return error_set(e, ERR_INSUFFICIENT_STORAGE, "full");
    job->emitted[job->count++] = index;
    return ERR_NONE;
}

static void end(void *worker)
{
    free(worker);
}

static enum err run(struct job *job, size_t count, unsigned threads, struct error *e)
{
    const struct ordered_work work = {.count = count,
                                      .threads = threads,
                                      .begin = begin,
                                      .end = end,
                                      .make = make,
                                      .emit = emit};
    enum err err = ordered_run(&work, job, e);
    for (size_t i = 0; i < job->count; i++)
        assert_int_equal(job->emitted[i], i);
    return err;
}

static void all_in_order(void **state)
{
    (void)state;
    const unsigned threads[] = {0, 1, 2, 7};
    for (size_t i = 0; i < 4; i++) {
        struct job job = {.fail_make = PIECES, .fail_emit = PIECES};
        struct error e = {0};
        assert_int_equal(run(&job, PIECES, threads[i], &e), ERR_NONE);
        assert_int_equal(job.count, PIECES);
        assert_int_equal(job.made, PIECES);
        assert_true(job.begun >= 1 && job.begun <= (threads[i] > 0 ? threads[i] : 1));
    }
}

static void few_pieces(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 2; count++) {
        struct job job = {.fail_make = PIECES, .fail_emit = PIECES};
        struct error e = {0};
        assert_int_equal(run(&job, count, 8, &e), ERR_NONE);
        assert_int_equal(job.count, count);
        assert_true(job.begun <= (count > 0 ? count : 1));
    }
}

// Several pieces fail, and later ones sooner: the first in their order is told.
static void first_error(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads++) {
        struct job job = {.fail_make = 100, .fail_emit = PIECES};
        struct error e = {0};
        assert_int_equal(run(&job, PIECES, threads, &e), ERR_CONFLICT);
        assert_string_equal(e.detail, "made 100");
        assert_int_equal(job.count, 100);
        assert_true(job.made <= 100 + threads);
        struct job full = {.fail_make = PIECES, .fail_emit = 50};
        assert_int_equal(run(&full, PIECES, threads, NULL), ERR_INSUFFICIENT_STORAGE);
        assert_int_equal(full.count, 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_in_order),
        cmocka_unit_test(few_pieces),
        cmocka_unit_test(first_error),
    };
    return cmocka_run_group_tests_name("ordered", tests, NULL, NULL);
}
