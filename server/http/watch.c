// SPDX-License-Identifier: Apache-2.0
#include "server/http/watch.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#define CLOSED_MAXIMUM 256 // each takes a descriptor
#define PHASE_MASK 3u
#define TURN 4u // added to the state with each phase, so that a new one is seen as new

struct watched {
    struct watched *next, *previous;
    int fd;
    bool is_cut;
    atomic_uint state;
    atomic_bool busy;
    // The rest is watch_cut_slow's: of the phase it saw last, since when and from how
    // many bytes on it counts. since_ms is 0 while no byte of a head has come.
    unsigned seen;
    int64_t since_ms;
    uint64_t mark;
};

struct watch {
    struct watch_limits limits;
    pthread_mutex_t lock; // the lists; a descriptor in them is open
    struct watched *open;
    struct watched *closed; // by the server, before the peer has taken all
    unsigned closed_count;
};

struct watch *watch_new(const struct watch_limits *limits)
{
    struct watch *watch = alloc_zero(sizeof *watch);
    watch->limits = *limits;
    pthread_mutex_init(&watch->lock, NULL);
    return watch;
}

static void add(struct watched **list, struct watched *one)
{
    one->previous = NULL;
    one->next = *list;
    if (one->next != NULL)
        one->next->previous = one;
    *list = one;
}

static void take_out(struct watched **list, struct watched *one)
{
    if (one->next != NULL)
        one->next->previous = one->previous;
    if (one->previous != NULL)
        one->previous->next = one->next;
    else
        *list = one->next;
}

static void forget_closed(struct watch *watch, struct watched *one)
{
    take_out(&watch->closed, one);
    watch->closed_count--;
    close(one->fd);
    free(one);
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    while (watch->closed != NULL)
        forget_closed(watch, watch->closed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

struct watched *watch_open(struct watch *watch, int fd)
{
    struct watched *one = alloc_zero(sizeof *one);
    one->fd = fd;
    atomic_init(&one->state, TURN | WATCH_HEAD);
    pthread_mutex_lock(&watch->lock);
    add(&watch->open, one);
    pthread_mutex_unlock(&watch->lock);
    return one;
}

static bool is_unsent(int fd)
{
    int size = 0;
    return ioctl(fd, SIOCOUTQ, &size) == 0 && size > 0;
}

static bool is_unread(int fd)
{
    int size = 0;
    return ioctl(fd, SIOCINQ, &size) == 0 && size > 0;
}

void watch_set_phase(struct watched *one, enum watch_phase phase)
{
    unsigned state = atomic_load(&one->state);
    atomic_store(&one->state, ((state & ~PHASE_MASK) + TURN) | (unsigned)phase);
}

void watch_set_busy(struct watched *one, bool busy)
{
    atomic_store(&one->busy, busy);
}

// A copy of the descriptor, or -1 where there is nothing to wait for.
static int keep_unsent(const struct watch *watch, const struct watched *one)
{
    if (one->is_cut || watch->closed_count >= CLOSED_MAXIMUM || !is_unsent(one->fd))
        return -1;
    return fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
}

void watch_close(struct watch *watch, struct watched *one)
{
    pthread_mutex_lock(&watch->lock);
    take_out(&watch->open, one);
    one->fd = keep_unsent(watch, one);
    bool is_kept = one->fd >= 0;
    if (is_kept) {
        watch_set_phase(one, WATCH_ANSWER);
        add(&watch->closed, one);
        watch->closed_count++;
    }
    pthread_mutex_unlock(&watch->lock);
    if (!is_kept)
        free(one);
}

// ---- slow ones --------------------------------------------------------------------

// Bytes that the peer has sent, or of ours acknowledged; false when that is not known.
static bool count_bytes(const struct watched *one, enum watch_phase phase,
                        uint64_t *bytes)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(one->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_segs_out))
        return false;
    *bytes = phase == WATCH_ANSWER ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
    return true;
}

// The next window begins.
static bool go_on(struct watched *one, int64_t now_ms, uint64_t bytes)
{
    one->since_ms = now_ms;
    one->mark = bytes;
    return false;
}

static bool is_slow_head(const struct watch *watch, struct watched *one, int64_t now_ms,
                         uint64_t bytes)
{
    if (one->since_ms == 0 && bytes > one->mark)
        one->since_ms = now_ms;
    return one->since_ms != 0 && now_ms - one->since_ms > watch->limits.head_ms;
}

static bool is_slow(const struct watch *watch, struct watched *one, int64_t now_ms)
{
    const struct watch_limits *limits = &watch->limits;
    unsigned state = atomic_load(&one->state);
    enum watch_phase phase = (enum watch_phase)(state & PHASE_MASK);
    uint64_t bytes;
    if (!count_bytes(one, phase, &bytes))
        return false;
    if (state != one->seen) {
        one->seen = state;
        return go_on(one, phase == WATCH_HEAD ? 0 : now_ms, bytes);
    }
    if (phase == WATCH_HEAD)
        return is_slow_head(watch, one, now_ms, bytes);
    if (atomic_load(&one->busy) || (phase == WATCH_ANSWER && !is_unsent(one->fd)))
        return go_on(one, now_ms, bytes);
    if (now_ms - one->since_ms < limits->window_ms)
        return false;
    if (bytes - one->mark >= (uint64_t)(limits->rate * limits->window_ms / 1000))
        return go_on(one, now_ms, bytes);
    return true;
}

static void cut(struct watched *one)
{
    one->is_cut = true;
    struct linger at_once = {.l_onoff = 1};
    if ((one->seen & PHASE_MASK) == WATCH_ANSWER)
        setsockopt(one->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(one->fd, SHUT_RDWR); // its thread wakes up and closes it
}

unsigned watch_cut_slow(struct watch *watch)
{
    unsigned counts[PHASE_MASK + 1] = {0};
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&watch->lock);
    for (struct watched *one = watch->open; one != NULL; one = one->next) {
        if (one->is_cut || !is_slow(watch, one, now_ms))
            continue;
        cut(one);
        counts[one->seen & PHASE_MASK]++;
    }
    for (struct watched *one = watch->closed, *next; one != NULL; one = next) {
        next = one->next;
        bool slow = is_slow(watch, one, now_ms);
        if (slow)
            cut(one);
        if (slow || !is_unsent(one->fd))
            forget_closed(watch, one);
        counts[WATCH_ANSWER] += slow;
    }
    pthread_mutex_unlock(&watch->lock);
    unsigned count = counts[WATCH_HEAD] + counts[WATCH_BODY] + counts[WATCH_ANSWER];
    if (count > 0)
        log_info("connections were too slow", "heads", log_number(counts[WATCH_HEAD]),
                 "bodies", log_number(counts[WATCH_BODY]), "answers",
                 log_number(counts[WATCH_ANSWER]), NULL);
    return count;
}

// ---- the end ----------------------------------------------------------------------

unsigned watch_pending(struct watch *watch)
{
    unsigned count = 0;
    pthread_mutex_lock(&watch->lock);
    for (struct watched *one = watch->open; one != NULL; one = one->next)
        count += is_unsent(one->fd) || is_unread(one->fd);
    for (struct watched *one = watch->closed, *next; one != NULL; one = next) {
        next = one->next;
        if (is_unsent(one->fd))
            count++;
        else
            forget_closed(watch, one);
    }
    pthread_mutex_unlock(&watch->lock);
    return count;
}
