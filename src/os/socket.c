/* SPDX-License-Identifier: MIT */
/* TCP sockets. "Would block" is OUT_OK with nothing moved; a dead peer is OUT_CLOSED. */
#include "os/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static enum outcome bind_to(const struct addrinfo *a, const char *host, int port, int *fd)
{
    int on = 1, off = 0;
    *fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return fail(outcome_of_errno(errno), "make a socket");
    if (a->ai_family == AF_INET6 &&
        setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        errno = 0; /* then IPv6 alone */
    if (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(*fd, a->ai_addr, a->ai_addrlen) == 0)
        return OUT_OK;
    enum outcome o = fail(outcome_of_errno(errno), "listen on %s:%d", host, port);
    close(*fd);
    *fd = -1;
    return o;
}

static int port_of(const struct sockaddr_storage *name)
{
    if (name->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)name)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)name)->sin_port);
}

enum outcome os_bind(const char *host, int port, int *fd, int *bound)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int problem = getaddrinfo(host[0] == '\0' ? NULL : host, service, &hints, &found);
    if (problem != 0) {
        errno = 0;
        return fail(OUT_NOT_FOUND, "resolve %s: %s", host, gai_strerror(problem));
    }
    /* A name may stand for both families: clients expect the IPv4 one, but "" means everything. */
    int first = host[0] == '\0' ? AF_INET6 : AF_INET;
    enum outcome o = OUT_NOT_FOUND;
    for (int round = 0; round < 2 && o != OUT_OK; round++) {
        for (const struct addrinfo *a = found; a != NULL && o != OUT_OK; a = a->ai_next) {
            if ((a->ai_family == first) == (round == 0))
                o = bind_to(a, host, port, fd);
        }
    }
    freeaddrinfo(found);
    if (o != OUT_OK)
        return o;
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    *bound = port;
    if (getsockname(*fd, (struct sockaddr *)&name, &size) == 0)
        *bound = port_of(&name);
    return OUT_OK;
}

int os_peer_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    if (getpeername(fd, (struct sockaddr *)&name, &size) == 0)
        return port_of(&name);
    errno = 0;
    return 0;
}

enum outcome os_listen(int fd)
{
    if (listen(fd, BACKLOG) == 0)
        return OUT_OK;
    return fail(outcome_of_errno(errno), "listen on a port that was free a moment ago");
}

static void address_text(const struct sockaddr_storage *name, char address[static OS_ADDRESS_SIZE])
{
    const void *at = &((const struct sockaddr_in *)(const void *)name)->sin_addr;
    int family = name->ss_family;
    if (family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)name)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        family = mapped ? AF_INET : AF_INET6;
        at = mapped ? (const void *)&six->s6_addr[12] : six;
    }
    if (inet_ntop(family, at, address, OS_ADDRESS_SIZE) == NULL)
        address[0] = '\0';
}

enum outcome os_accept(int listener, int *fd, char address[static OS_ADDRESS_SIZE])
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    int on = 1;
    *fd = accept4(listener, (struct sockaddr *)&name, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*fd < 0) {
        int error = errno;
        errno = 0;
        if (error == EAGAIN || error == EWOULDBLOCK)
            return OUT_AGAIN;
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
            return OUT_NO_FILES;
        return OUT_CLOSED;
    }
    if (setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        errno = 0; /* slower, no worse */
    address_text(&name, address);
    return OUT_OK;
}

static enum outcome moved(ssize_t count, size_t *done)
{
    *done = count > 0 ? (size_t)count : 0;
    if (count >= 0)
        return OUT_OK;
    int error = errno;
    errno = 0;
    if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)
        return OUT_AGAIN;
    return error == EIO || error == EFAULT ? OUT_IO : OUT_CLOSED;
}

enum outcome os_receive(int fd, void *to, size_t size, size_t *got)
{
    ssize_t count = recv(fd, to, size, 0);
    if (count == 0) {
        *got = 0;
        return OUT_END;
    }
    return moved(count, got);
}

enum outcome os_send(int fd, const struct iovec *pieces, int count, bool more, size_t *sent)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)count};
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    if (count == 1) /* a little less work for the kernel */
        return moved(send(fd, pieces->iov_base, pieces->iov_len, flags), sent);
    return moved(sendmsg(fd, &message, flags), sent);
}

enum outcome os_send_file(int fd, int file, uint64_t position, size_t size, size_t *sent)
{
    off_t at = (off_t)position;
    ssize_t count = sendfile(fd, file, &at, size);
    if (count == 0 && size > 0) {
        *sent = 0;
        return OUT_IO; /* the file is shorter than it was: never in a sane directory */
    }
    return moved(count, sent);
}

enum outcome os_read_file(int file, uint64_t position, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = pread(file, (uint8_t *)to + done, size - done, (off_t)(position + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return OUT_IO; /* failed, or shorter than it was */
        done += (size_t)count;
    }
    return OUT_OK;
}

void os_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

int os_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}
