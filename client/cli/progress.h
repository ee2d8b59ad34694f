// SPDX-License-Identifier: Apache-2.0
// Progress of a transfer on standard error: a bar on a terminal, a line now and then
// elsewhere.
#pragma once

#include <stdint.h>

#include "client/lib/strata_transfer.h"

#define SIZE_TEXT 32

struct progress {
    const char *verb;  // "sent", "received", "verified"
    const char *items; // "files"
    bool quiet;
    bool terminal;
    bool drawn;
    int64_t begun_ms;
    int64_t shown_ms;
};

void progress_init(struct progress *progress, const char *verb, bool quiet);
// For struct strata_watch; the context is a struct progress.
void progress_show(void *context, const struct strata_progress *now);
// Takes the bar away.
void progress_end(struct progress *progress);

// "1.2 GB"; decimal units.
void size_format(uint64_t bytes, char text[SIZE_TEXT]);
