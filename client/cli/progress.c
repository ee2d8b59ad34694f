// SPDX-License-Identifier: Apache-2.0
#include "client/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define BAR_WIDTH 24
#define TERMINAL_EVERY_MS 100
#define PLAIN_EVERY_MS 5000
#define LEFT_AFTER_S 1 // before that a rate says little
#define LEFT_TEXT 48

void size_format(uint64_t bytes, char text[SIZE_TEXT])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1000;
        unit++;
    }
    int digits = unit > 0 && value < 99.95 ? 1 : 0;
    snprintf(text, SIZE_TEXT, "%.*f %s", digits, value, units[unit]);
}

void progress_init(struct progress *progress, const char *verb, bool quiet)
{
    int64_t now = clock_monotonic_ms();
    *progress = (struct progress){
        .verb = verb,
        .items = "files",
        .quiet = quiet,
        .terminal = isatty(STDERR_FILENO) == 1,
        .begun_ms = now,
        .shown_ms = now,
    };
}

static uint64_t done_of(const struct strata_progress *now)
{
    uint64_t done = now->moved + now->present;
    return done < now->total ? done : now->total;
}

// ", 12 s left"; nothing before it is known.
static void left_format(const struct strata_progress *now, double seconds,
                        char text[LEFT_TEXT])
{
    text[0] = '\0';
    if (now->moved == 0 || seconds < LEFT_AFTER_S)
        return;
    double rate = (double)now->moved / seconds;
    double left = (double)(now->total - done_of(now)) / rate;
    if (left < 100)
        snprintf(text, LEFT_TEXT, ", %.0f s left", left);
    else if (left < 100 * 60.0)
        snprintf(text, LEFT_TEXT, ", %.0f min left", left / 60);
    else
        snprintf(text, LEFT_TEXT, ", %.0f h left", left / 3600);
}

static void draw(const struct progress *progress, const struct strata_progress *now,
                 double seconds)
{
    uint64_t done = done_of(now);
    int percent = now->total > 0 ? (int)(done * 100 / now->total) : 100;
    char bar[BAR_WIDTH + 1];
    int filled = percent * BAR_WIDTH / 100;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    char of[SIZE_TEXT], total[SIZE_TEXT], rate[SIZE_TEXT], checked[SIZE_TEXT];
    size_format(done, of);
    size_format(now->total, total);
    size_format(seconds > 0 ? (uint64_t)((double)now->moved / seconds) : 0, rate);
    size_format(now->checked, checked);
    char left[LEFT_TEXT];
    left_format(now, seconds, left);
    if (now->moved == 0 && now->checked > 0)
        fprintf(stderr, "\r[%s] %3d%%  %s of %s, %s checked\033[K", bar, percent, of,
                total, checked);
    else
        fprintf(stderr, "\r[%s] %3d%%  %s of %s %s, %s/s%s\033[K", bar, percent, of,
                total, progress->verb, rate, left);
    fflush(stderr);
}

void progress_show(void *context, const struct strata_progress *now)
{
    struct progress *progress = context;
    if (progress->quiet)
        return;
    int64_t ms = clock_monotonic_ms();
    int64_t every = progress->terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    if (ms - progress->shown_ms < every)
        return;
    progress->shown_ms = ms;
    if (progress->terminal) {
        progress->drawn = true;
        draw(progress, now, (double)(ms - progress->begun_ms) / 1000);
        return;
    }
    char done[SIZE_TEXT], total[SIZE_TEXT];
    size_format(done_of(now), done);
    size_format(now->total, total);
    fprintf(stderr, "%s of %s %s, %zu of %zu %s\n", done, total, progress->verb,
            now->files_done, now->files, progress->items);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
}
