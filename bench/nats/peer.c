/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct server server_of(const char *address, int pid)
{
    static char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host)
        die("%s: not HOST:PORT", address);
    memcpy(host, address, (size_t)(colon - address));
    return (struct server){.host = host, .port = (int)strtol(colon + 1, NULL, 10), .pid = pid};
}

double server_cpu(const struct server *s)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    if (s->pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", s->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fgets(text, sizeof text, f) == NULL)
        die("%s: the server is gone", path);
    fclose(f);
    const char *p = strrchr(text, ')');
    if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                            &system) != 2)
        die("%s: not understood", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

long server_kib(const struct server *s, const char *field)
{
    char path[64], line[256];
    long kib = 0;
    if (s->pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/status", s->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die("%s: the server is gone", path);
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            kib = strtol(line + strlen(field) + 1, NULL, 10);
    fclose(f);
    return kib;
}

void peer_send(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            die("the server closed a connection that was sending");
        bytes += n;
        size -= (size_t)n;
    }
}

/* Reads lines up to one that begins with the word; nothing else may be on its way. */
static void read_until(int fd, const char *word)
{
    char line[8192];
    size_t have = 0;
    for (;;) {
        ssize_t n = recv(fd, line + have, 1, 0);
        if (n <= 0)
            die("the server closed the connection, %s was expected", word);
        have += (size_t)n;
        if (line[have - 1] != '\n' && have < sizeof line)
            continue;
        if (strncmp(line, "-ERR", 4) == 0)
            die("the server says %.*s", (int)have, line);
        if (strncmp(line, word, strlen(word)) == 0)
            return;
        have = 0;
    }
}

void peer_flush(int fd)
{
    peer_send(fd, "PING\r\n", 6);
    read_until(fd, "PONG");
}

int peer_open(const struct server *s)
{
    static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":0,"
                                "\"headers\":true,\"lang\":\"c\",\"version\":\"1\"}\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, s->host, &to.sin_addr) != 1)
        die("%s: not an address", s->host);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("no connection to %s:%d: %m", s->host, s->port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    read_until(fd, "INFO ");
    peer_send(fd, hello, sizeof hello - 1);
    peer_flush(fd);
    return fd;
}

void peer_unblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

const char *argument_text(int argc, char **argv, const char *name, const char *otherwise)
{
    size_t size = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, size) == 0 && argv[i][size] == '=')
            return argv[i] + size + 1;
    return otherwise;
}

int64_t argument(int argc, char **argv, const char *name, int64_t otherwise)
{
    const char *text = argument_text(argc, argv, name, NULL);
    return text == NULL ? otherwise : strtoll(text, NULL, 10);
}
