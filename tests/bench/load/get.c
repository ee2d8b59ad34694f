// SPDX-License-Identifier: Apache-2.0
// One thread, many connections, one request at a time on each. In the closed loop a
// connection begins its next request when it has its answer; in the open loop requests
// arrive at times fixed before (exponential gaps), and their latency counts from the
// time of arrival, also while they wait for a free connection.
#include "tests/bench/load/http.h"
#include "tests/bench/load/load.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64
// So many connections may be cut by the server before that counts as a failure.
#define CUT_MAXIMUM 1000
// Bodies are thrown away by the kernel (MSG_TRUNC); the memory is never touched.
#define DISCARD_SIZE ((size_t)4 << 20)
// At most so much of one connection before the others get their turn.
#define TURN_SIZE ((int64_t)2 << 20)

struct connection {
    int fd;
    double began;      // of the running request: when it was sent, or arrived
    int64_t body_left; // of the running answer, when its head is read
    bool in_body;
    bool close;
    size_t length; // bytes of the head so far
    char text[HEAD_SIZE];
};

struct get {
    const struct load *load;
    int epoll;
    struct connection *connections;
    struct connection **idle; // a stack
    int idle_count;
    int running;
    double started, deadline;
    double *arrivals; // open loop
    int64_t arrivals_count, arrivals_next;
    double *latencies;
    int64_t requests, capacity;
    int64_t number; // of the next request
    int64_t bytes, bytes_in_time, requests_in_time, cut;
    void *discard;
};

static void get_watch(struct get *get, struct connection *c)
{
    c->fd = http_connect(get->load->address);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(get->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

static void get_send(struct get *get, struct connection *c, double began)
{
    const struct load *load = get->load;
    char path[2048], range[96] = "", text[HEADERS_SIZE + 4096];
    int64_t number = get->number++;
    load_path(load, number % load->count, path, sizeof(path));
    if (load->range_size > 0) {
        int64_t from = number * load->range_size % load->file_size;
        snprintf(range, sizeof(range), "Range: bytes=%lld-%lld\r\n", (long long)from,
                 (long long)(from + load->range_size - 1));
    }
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n",
                          path, load->address, range, load->headers);
    c->began = began;
    c->length = 0;
    c->in_body = false;
    get->running++;
    if (send(c->fd, text, (size_t)length, 0) != length) {
        die("send: %s", strerror(errno));
    }
}

static void get_record(struct get *get, double latency)
{
    if (get->requests == get->capacity) {
        get->capacity = get->capacity * 2 + 4096;
        get->latencies =
            realloc(get->latencies, (size_t)get->capacity * sizeof(double));
        if (get->latencies == NULL) {
            die("out of memory");
        }
    }
    get->latencies[get->requests++] = latency;
}

// Gives a connection its next request, or lays it by.
static void get_next(struct get *get, struct connection *c, double now)
{
    if (get->load->rate > 0) {
        int64_t next = get->arrivals_next;
        if (next < get->arrivals_count && get->arrivals[next] <= now) {
            get->arrivals_next++;
            get_send(get, c, get->arrivals[next]);
            return;
        }
    } else if (now < get->deadline) {
        get_send(get, c, now);
        return;
    }
    get->idle[get->idle_count++] = c;
}

static void get_finish(struct get *get, struct connection *c)
{
    double now = clock_seconds();
    get->running--;
    get_record(get, now - c->began);
    if (now <= get->deadline) {
        get->requests_in_time++;
    }
    if (c->close) {
        close(c->fd);
        get_watch(get, c);
    }
    get_next(get, c, now);
}

// The server has closed a connection that owed an answer: it is asked for on another.
static void get_cut(struct get *get, struct connection *c, const char *why)
{
    if (++get->cut > CUT_MAXIMUM) {
        die("no answer: %s", why);
    }
    get->running--;
    close(c->fd);
    get_watch(get, c);
    get_send(get, c, c->began);
}

// Counts bytes of a body.
static void get_count(struct get *get, struct connection *c, int64_t size)
{
    if (size > c->body_left) {
        die("more bytes than the answer has");
    }
    get->bytes += size;
    c->body_left -= size;
}

// Reads of the head what is there; true: it is complete.
static bool get_read_head(struct get *get, struct connection *c)
{
    ssize_t got =
        recv(c->fd, c->text + c->length, sizeof(c->text) - 1 - c->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    if (got <= 0) {
        get_cut(get, c, got < 0 ? strerror(errno) : "closed");
        return false;
    }
    c->length += (size_t)got;
    c->text[c->length] = '\0';
    struct http_head head;
    int head_size = http_head_parse(c->text, &head);
    if (head_size == 0 && c->length < sizeof(c->text) - 1) {
        return false;
    }
    bool ranged = get->load->range_size > 0;
    if (head_size <= 0 || head.status != (ranged ? 206 : 200) || head.body_size < 0) {
        die("an answer that is not expected: %s", c->text);
    }
    c->in_body = true;
    c->close = head.close;
    c->body_left = head.body_size;
    get_count(get, c, (int64_t)c->length - head_size);
    return true;
}

static void get_readable(struct get *get, struct connection *c)
{
    if (!c->in_body && !get_read_head(get, c)) {
        return;
    }
    int64_t turn = TURN_SIZE;
    while (c->body_left > 0 && turn > 0) {
        size_t size = DISCARD_SIZE;
        if ((int64_t)size > c->body_left) {
            size = (size_t)c->body_left;
        }
        ssize_t got = recv(c->fd, get->discard, size, MSG_TRUNC | MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            get_cut(get, c, got < 0 ? strerror(errno) : "closed");
            return;
        }
        get_count(get, c, got);
        turn -= got;
    }
    if (c->body_left == 0) {
        get_finish(get, c);
    }
}

// Begins what has arrived; how long until the next arrival or the deadline, in seconds.
static double get_due(struct get *get)
{
    double now = clock_seconds();
    while (get->idle_count > 0 && get->arrivals_next < get->arrivals_count &&
           get->arrivals[get->arrivals_next] <= now) {
        double arrival = get->arrivals[get->arrivals_next++];
        get_send(get, get->idle[--get->idle_count], arrival);
    }
    if (get->idle_count == 0 || get->arrivals_next == get->arrivals_count) {
        return 1;
    }
    return fmax(get->arrivals[get->arrivals_next] - now, 0);
}

static void get_wait(struct get *get, double seconds)
{
    struct epoll_event events[EVENTS];
    struct timespec timeout = {(time_t)seconds,
                               (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int count = epoll_pwait2(get->epoll, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        get_readable(get, events[i].data.ptr);
    }
    if (clock_seconds() <= get->deadline) {
        get->bytes_in_time = get->bytes;
    }
}

static void get_make_arrivals(struct get *get)
{
    get->arrivals_count = (int64_t)(get->load->rate * get->load->seconds);
    get->arrivals = calloc((size_t)get->arrivals_count, sizeof(double));
    if (get->arrivals == NULL) {
        die("out of memory");
    }
    srand48(7);
    double at = get->started;
    for (int64_t i = 0; i < get->arrivals_count; i++) {
        at -= log(1 - drand48()) / get->load->rate;
        get->arrivals[i] = at;
    }
}

static void get_begin(struct get *get)
{
    const struct load *load = get->load;
    get->epoll = epoll_create1(EPOLL_CLOEXEC);
    get->connections = calloc((size_t)load->streams, sizeof(*get->connections));
    get->idle = calloc((size_t)load->streams, sizeof(struct connection *));
    get->discard = malloc(DISCARD_SIZE);
    if (get->epoll < 0 || !get->connections || !get->idle || !get->discard) {
        die("out of memory");
    }
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    for (int i = 0; i < load->streams; i++) {
        get_watch(get, &get->connections[i]);
    }
    get->started = clock_seconds();
    get->deadline = get->started + load->seconds;
    if (load->rate > 0) {
        get_make_arrivals(get);
    }
    for (int i = 0; i < load->streams; i++) {
        get_next(get, &get->connections[i], get->started);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct get *get, double share)
{
    int64_t at = (int64_t)(share * (double)(get->requests - 1));
    return get->requests > 0 ? get->latencies[at] * 1e3 : 0;
}

static void get_print(struct get *get)
{
    qsort(get->latencies, (size_t)get->requests, sizeof(double), compare_doubles);
    printf("{\"seconds\": %.6f, \"bytes\": %lld, \"bytes_in_time\": %lld, "
           "\"requests\": %lld, \"requests_in_time\": %lld, \"cpu_seconds\": %.6f, "
           "\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f, "
           "\"cut\": %lld, \"elapsed\": %.6f}\n",
           get->load->seconds, (long long)get->bytes, (long long)get->bytes_in_time,
           (long long)get->requests, (long long)get->requests_in_time, cpu_seconds(),
           percentile(get, 0.5), percentile(get, 0.99), percentile(get, 1),
           (long long)get->cut, clock_seconds() - get->started);
}

void load_get(const struct load *load)
{
    struct get get = {.load = load};
    get_begin(&get);
    while (get.running > 0 || get.arrivals_next < get.arrivals_count) {
        get_wait(&get, get_due(&get));
    }
    get_print(&get);
    for (int i = 0; i < load->streams; i++) {
        close(get.connections[i].fd);
    }
    close(get.epoll);
    free(get.connections);
    free(get.idle);
    free(get.arrivals);
    free(get.latencies);
    free(get.discard);
}
