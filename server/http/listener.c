// SPDX-License-Identifier: Apache-2.0
#include "server/http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define BACKLOG 1024

static void addresses_free(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
}

static enum err resolve(const char *address, struct addrinfo **list, struct error *e)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return error_set(e, ERR_BAD_REQUEST, "listen must be ADDR:PORT, not %s",
                         address);
    AUTO_FREE char *host = alloc_copy_n(address, (size_t)(colon - address));
    size_t length = strlen(host);
    char *start = host;
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        start = host + 1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int code = getaddrinfo(*start != '\0' ? start : NULL, colon + 1, &hints, list);
    if (code != 0)
        return error_set(e, ERR_BAD_REQUEST, "cannot listen on %s: %s", address,
                         gai_strerror(code));
    return ERR_NONE;
}

static enum err describe(int fd, char **bound, struct error *e)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0 ||
        getnameinfo((struct sockaddr *)&name, size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return error_set_errno(e, errno, "the listening address cannot be read");
    bool is_v6 = name.ss_family == AF_INET6;
    *bound = alloc_printf(is_v6 ? "[%s]:%s" : "%s:%s", host, port);
    return ERR_NONE;
}

enum err listener_open(const char *address, const char *congestion, int *out,
                       char **bound, struct error *e)
{
    CLEANUP(addresses_free) struct addrinfo *list = NULL;
    enum err err = resolve(address, &list, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FD int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(e, errno, "cannot make a socket");
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (*congestion != '\0' && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
                                          (socklen_t)strlen(congestion)) != 0)
        return error_set_errno(e, errno, "tcp_congestion %s cannot be set", congestion);
    if (bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return error_set_errno(e, errno, "cannot listen on %s", address);
    err = describe(fd, bound, e);
    if (err == ERR_NONE)
        *out = steal_fd(&fd);
    return err;
}
