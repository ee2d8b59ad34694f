// SPDX-License-Identifier: Apache-2.0
// A thread that calls a function again and again, with a pause between two calls, until
// it is stopped.
#pragma once

#include <stdint.h>

#include "common/error.h"

struct background;

// `run` fails without consequence; a failure is logged when it begins and when it ends.
struct background_options {
    const char *name; // for the log
    int64_t pause_ms;
    enum err (*run)(void *context, struct error *e);
    void *context;
};

enum err background_start(const struct background_options *options,
                          struct background **background, struct error *e) MUST_CHECK;
// Wakes it and waits for the call that runs; NULL is allowed.
void background_stop(struct background *background);
