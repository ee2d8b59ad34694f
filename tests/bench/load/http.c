// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/load/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bench-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

int http_connect(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof(host)) {
        die("%s is not ADDRESS:PORT", address);
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        die("%s is not an IPv4 address", host);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("cannot connect to %s: %s", address, strerror(errno));
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

// The value of the header of that name, or NULL; `text` begins at the first header.
static const char *find_header(const char *text, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

// Leaves `copy` as it is when there is no such header.
static void copy_header(const char *text, const char *end, const char *name, char *copy,
                        size_t size)
{
    const char *value = find_header(text, end, name);
    size_t length = value != NULL ? strcspn(value, "\r\n") : 0;
    if (length >= size) {
        die("the header %s is too long", name);
    }
    memcpy(copy, value != NULL ? value : "", length);
}

int http_head_parse(const char *text, struct http_head *head)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    end += 2;
    memset(head, 0, sizeof(*head));
    if (sscanf(text, "HTTP/1.%*1d %3d", &head->status) != 1) {
        return -1;
    }
    const char *headers = strstr(text, "\r\n") + 2;
    if (find_header(headers, end, "Transfer-Encoding") != NULL) {
        return -1;
    }
    const char *value = find_header(headers, end, "Content-Length");
    head->body_size = value != NULL ? strtoll(value, NULL, 10)
                      : head->status == 204 ? 0
                                            : -1;
    value = find_header(headers, end, "Connection");
    head->close = value != NULL && strncasecmp(value, "close", 5) == 0;
    copy_header(headers, end, "ETag", head->etag, sizeof(head->etag));
    copy_header(headers, end, "Location", head->location, sizeof(head->location));
    return (int)(end + 2 - text);
}

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}
