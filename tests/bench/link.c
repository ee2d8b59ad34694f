// SPDX-License-Identifier: Apache-2.0
// A link to a server, on loopback: every connection has its own bandwidth, and what
// goes through arrives later. Half of the latency is for each direction; a connection
// takes one latency to be made, as a handshake does. Prints its port when it listens,
// and for each line that it reads, the bytes of both directions and the connections so
// far; ends when there is nothing more to read.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)64 << 10)
#define BLOCKS 64 // on the way in one direction
#define BILLION 1000000000

struct link {
    struct sockaddr_in server;
    int64_t latency_ns;
    double ns_per_byte;
    atomic_uint_fast64_t up, down, connections;
};

struct block {
    int64_t due_ns;
    size_t size;
    unsigned char bytes[BLOCK_SIZE];
};

// One direction of a connection: a thread reads, another writes when it is time.
struct way {
    int from, to;
    struct link *link;
    atomic_uint_fast64_t *counter;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct block *blocks;
    size_t head, count;
    bool ended, broken;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)BILLION + now.tv_nsec;
}

static void sleep_until(int64_t when_ns)
{
    struct timespec when = {when_ns / BILLION, when_ns % BILLION};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0)
        ;
}

// The block to read into; NULL when nobody takes it any more.
static struct block *wait_room(struct way *way)
{
    pthread_mutex_lock(&way->lock);
    while (way->count == BLOCKS && !way->broken)
        pthread_cond_wait(&way->changed, &way->lock);
    struct block *block = &way->blocks[(way->head + way->count) % BLOCKS];
    bool broken = way->broken;
    pthread_mutex_unlock(&way->lock);
    return broken ? NULL : block;
}

static void read_way(struct way *way)
{
    int64_t busy_until_ns = 0;
    struct block *block;
    while ((block = wait_room(way)) != NULL) {
        ssize_t n = recv(way->from, block->bytes, BLOCK_SIZE, 0);
        if (n <= 0)
            break;
        int64_t now = now_ns();
        int64_t begin_ns = now > busy_until_ns ? now : busy_until_ns;
        busy_until_ns = begin_ns + (int64_t)((double)n * way->link->ns_per_byte);
        block->size = (size_t)n;
        block->due_ns = busy_until_ns + way->link->latency_ns / 2;
        atomic_fetch_add(way->counter, (uint64_t)n);
        pthread_mutex_lock(&way->lock);
        way->count++;
        pthread_cond_signal(&way->changed);
        pthread_mutex_unlock(&way->lock);
    }
    pthread_mutex_lock(&way->lock);
    way->ended = true;
    pthread_cond_signal(&way->changed);
    pthread_mutex_unlock(&way->lock);
}

static bool send_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static void *write_way(void *context)
{
    struct way *way = context;
    pthread_mutex_lock(&way->lock);
    for (;;) {
        while (way->count == 0 && !way->ended)
            pthread_cond_wait(&way->changed, &way->lock);
        if (way->count == 0 || way->broken)
            break;
        struct block *block = &way->blocks[way->head];
        pthread_mutex_unlock(&way->lock);
        sleep_until(block->due_ns);
        bool sent = send_all(way->to, block->bytes, block->size);
        pthread_mutex_lock(&way->lock);
        way->head = (way->head + 1) % BLOCKS;
        way->count--;
        way->broken = !sent;
        pthread_cond_signal(&way->changed);
    }
    pthread_mutex_unlock(&way->lock);
    if (way->broken)
        shutdown(way->from, SHUT_RDWR); // its reader wakes up
    shutdown(way->to, SHUT_WR);
    return NULL;
}

static void *run_way(void *context)
{
    struct way *way = context;
    pthread_t writer;
    way->blocks = calloc(BLOCKS, sizeof *way->blocks);
    if (way->blocks == NULL || pthread_create(&writer, NULL, write_way, way) != 0)
        abort();
    read_way(way);
    pthread_join(writer, NULL);
    free(way->blocks);
    return NULL;
}

struct accepted {
    struct link *link;
    int fd;
};

static void init_way(struct way *way, struct link *link, int from, int to,
                     atomic_uint_fast64_t *counter)
{
    memset(way, 0, sizeof *way);
    way->from = from;
    way->to = to;
    way->link = link;
    way->counter = counter;
    pthread_mutex_init(&way->lock, NULL);
    pthread_cond_init(&way->changed, NULL);
}

static void pass_on(struct link *link, int client, int server)
{
    struct way up, down;
    pthread_t thread;
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    init_way(&up, link, client, server, &link->up);
    init_way(&down, link, server, client, &link->down);
    if (pthread_create(&thread, NULL, run_way, &up) != 0)
        abort();
    run_way(&down);
    pthread_join(thread, NULL);
}

static void *run_connection(void *context)
{
    struct accepted accepted = *(struct accepted *)context;
    free(context);
    struct link *link = accepted.link;
    atomic_fetch_add(&link->connections, 1);
    sleep_until(now_ns() + link->latency_ns);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(server, (struct sockaddr *)&link->server, sizeof link->server) == 0)
        pass_on(link, accepted.fd, server);
    close(server);
    close(accepted.fd);
    return NULL;
}

static int listen_here(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&here, size) != 0 || listen(fd, 256) != 0 ||
        getsockname(fd, (struct sockaddr *)&here, &size) != 0) {
        perror("bench-link");
        exit(1);
    }
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return fd;
}

static void *run_listener(void *context)
{
    struct link *link = context;
    int listener = listen_here();
    for (;;) {
        struct accepted *accepted = malloc(sizeof *accepted);
        pthread_t thread;
        if (accepted == NULL)
            abort();
        *accepted =
            (struct accepted){link, accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
        if (accepted->fd < 0 ||
            pthread_create(&thread, NULL, run_connection, accepted) != 0) {
            free(accepted);
            continue;
        }
        pthread_detach(thread);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: bench-link PORT LATENCY_MS BYTES_PER_SECOND\n", stderr);
        return 2;
    }
    static struct link link;
    link.server = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                       .sin_port = htons((uint16_t)atoi(argv[1]))};
    link.latency_ns = (int64_t)(atof(argv[2]) * 1e6);
    link.ns_per_byte = 1e9 / atof(argv[3]);
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_listener, &link) != 0)
        return 1;
    char line[16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("{\"up\": %llu, \"down\": %llu, \"connections\": %llu}\n",
               (unsigned long long)atomic_load(&link.up),
               (unsigned long long)atomic_load(&link.down),
               (unsigned long long)atomic_load(&link.connections));
        fflush(stdout);
    }
    return 0;
}
