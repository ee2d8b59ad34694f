// SPDX-License-Identifier: Apache-2.0
// Sends a file in parts, each thread over its own connection with sendfile.
#include "tests/bench/load/http.h"
#include "tests/bench/load/load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct put {
    const struct load *load;
    int file;
    int64_t size;
    int64_t part_size;
    int parts;
    atomic_int next;
    char (*etags)[ETAG_SIZE];     // of the parts
    char location[LOCATION_SIZE]; // of the first part
};

static void send_head(const struct put *put, int fd, int part, int64_t size)
{
    char path[2048], head[HEADERS_SIZE + 4096];
    load_path(put->load, put->load->first_part + part, path, sizeof(path));
    int length = snprintf(head, sizeof(head),
                          "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %lld\r\n"
                          "Content-Type: application/octet-stream\r\n%s\r\n",
                          put->load->method, path, put->load->address, (long long)size,
                          put->load->headers);
    if (send(fd, head, (size_t)length, MSG_MORE) != length) {
        die("send: %s", strerror(errno));
    }
}

static void send_part(const struct put *put, int fd, int part)
{
    off_t at = (off_t)part * put->part_size;
    int64_t left = put->size - at < put->part_size ? put->size - at : put->part_size;
    send_head(put, fd, part, left);
    while (left > 0) {
        ssize_t sent = sendfile(fd, put->file, &at, (size_t)left);
        if (sent <= 0) {
            die("sendfile of part %d: %s", part, strerror(errno));
        }
        left -= sent;
    }
}

// Reads one answer; false: the connection ends with it.
static bool read_answer(struct put *put, int fd, int part)
{
    char text[HEAD_SIZE];
    size_t length = 0;
    struct http_head head;
    int head_size = 0;
    while (head_size == 0) {
        ssize_t got = recv(fd, text + length, sizeof(text) - 1 - length, 0);
        if (got <= 0) {
            die("part %d: no answer: %s", part, got < 0 ? strerror(errno) : "closed");
        }
        length += (size_t)got;
        text[length] = '\0';
        head_size = http_head_parse(text, &head);
    }
    if (head_size < 0 || head.status < 200 || head.status > 299) {
        die("part %d is refused: %s", part, text);
    }
    memcpy(put->etags[part], head.etag, ETAG_SIZE);
    if (part == 0) {
        memcpy(put->location, head.location, LOCATION_SIZE);
    }
    int64_t left = head.body_size - (int64_t)(length - (size_t)head_size);
    while (left > 0) {
        ssize_t got = recv(fd, text, sizeof(text), 0);
        if (got <= 0) {
            die("part %d: half an answer", part);
        }
        left -= got;
    }
    return !head.close && head.body_size >= 0;
}

static void *put_thread(void *argument)
{
    struct put *put = argument;
    int fd = -1;
    for (;;) {
        int part = atomic_fetch_add(&put->next, 1);
        if (part >= put->parts) {
            break;
        }
        if (fd < 0) {
            fd = http_connect(put->load->address);
        }
        send_part(put, fd, part);
        if (!read_answer(put, fd, part)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    putchar('"');
}

static void print_result(const struct put *put, double seconds)
{
    printf("{\"seconds\": %.6f, \"bytes\": %lld, \"cpu_seconds\": %.6f, \"location\": ",
           seconds, (long long)put->size, cpu_seconds());
    print_string(put->location);
    printf(", \"etags\": [");
    for (int i = 0; i < put->parts; i++) {
        printf("%s", i > 0 ? ", " : "");
        print_string(put->etags[i]);
    }
    printf("]}\n");
}

void load_put(const struct load *load)
{
    struct put put = {.load = load, .file = open(load->file, O_RDONLY | O_CLOEXEC)};
    struct stat status;
    if (put.file < 0 || fstat(put.file, &status) != 0) {
        die("%s: %s", load->file, strerror(errno));
    }
    put.size = status.st_size;
    put.part_size = load->part_size > 0 ? load->part_size : put.size;
    put.parts = (int)((put.size + put.part_size - 1) / put.part_size);
    put.etags = calloc((size_t)put.parts, ETAG_SIZE);
    pthread_t *threads = calloc((size_t)load->streams, sizeof(*threads));
    if (put.etags == NULL || threads == NULL) {
        die("out of memory");
    }
    double began = clock_seconds();
    for (int i = 0; i < load->streams; i++) {
        if (pthread_create(&threads[i], NULL, put_thread, &put) != 0) {
            die("no thread");
        }
    }
    for (int i = 0; i < load->streams; i++) {
        pthread_join(threads[i], NULL);
    }
    print_result(&put, clock_seconds() - began);
    free(put.etags);
    free(threads);
    close(put.file);
}
