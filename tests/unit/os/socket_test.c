/* SPDX-License-Identifier: MIT */
/* Sockets and the poller over loopback, and what they say when peers end or die. */
#include "os/os.h"
#include "tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct pair {
    int listener, client, server, port;
    char address[OS_ADDRESS_SIZE];
};

static int connect_to(int family, int port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    const void *to = family == AF_INET ? (const void *)&four : &six;
    if (connect(fd, to, family == AF_INET ? sizeof four : sizeof six) == 0)
        return fd;
    close(fd);
    return -1;
}

static void await_event(int fd, unsigned what)
{
    int poller;
    struct os_event e;
    expect(os_poller_open(&poller) == OUT_OK);
    expect(os_poller_add(poller, fd, what, &poller) == OUT_OK);
    int n;
    while ((n = os_poller_wait(poller, &e, 1, -1)) == 0) {
    }
    expect(n == 1 && e.context == &poller && (e.what & (what | OS_HANGUP)) != 0);
    os_poller_remove(poller, fd);
    os_close(poller);
}

static void make_pair(struct pair *p)
{
    expect(os_bind("127.0.0.1", 0, &p->listener, &p->port) == OUT_OK);
    expect(p->port > 0);
    expect(connect_to(AF_INET, p->port) < 0); /* bound is not open */
    expect(os_listen(p->listener) == OUT_OK);
    expect(os_accept(p->listener, &p->server, p->address) == OUT_AGAIN);
    p->client = connect_to(AF_INET, p->port);
    expect(p->client >= 0);
    await_event(p->listener, OS_READABLE);
    expect(os_accept(p->listener, &p->server, p->address) == OUT_OK);
}

static void close_pair(struct pair *p)
{
    os_close(p->listener);
    os_close(p->client);
    os_close(p->server);
}

void test_an_accepted_socket_is_as_promised(void)
{
    struct pair p;
    int on = 0;
    socklen_t size = sizeof on;
    make_pair(&p);
    expect_str(p.address, "127.0.0.1");
    expect(fcntl(p.server, F_GETFL) & O_NONBLOCK);
    expect(fcntl(p.server, F_GETFD) & FD_CLOEXEC);
    expect(fcntl(p.listener, F_GETFD) & FD_CLOEXEC);
    expect(getsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on);
    close_pair(&p);
}

void test_bytes_and_file_ranges_arrive(void)
{
    struct pair p;
    char got[64] = "", path[] = "/tmp/fluxmq-os-test-XXXXXX";
    size_t n;
    make_pair(&p);
    int file = mkstemp(path);
    expect(file >= 0 && unlink(path) == 0 && write(file, "0123456789", 10) == 10);
    expect(os_receive(p.server, got, sizeof got, &n) == OUT_AGAIN && n == 0);
    char letters[] = "abcde";
    struct iovec pieces[] = {{letters, 2}, {letters + 2, 3}};
    expect(os_send(p.server, pieces, 2, true, &n) == OUT_OK && n == 5);
    expect(os_send_file(p.server, file, 3, 4, &n) == OUT_OK && n == 4);
    expect_eq(recv(p.client, got, 9, MSG_WAITALL), 9);
    expect(memcmp(got, "abcde3456", 9) == 0);
    expect(os_send_file(p.server, file, 10, 1, &n) == OUT_IO && n == 0); /* behind the end */
    expect(write(p.client, "xyz", 3) == 3);
    await_event(p.server, OS_READABLE);
    expect(os_receive(p.server, got, sizeof got, &n) == OUT_OK && n == 3);
    os_close(file);
    close_pair(&p);
}

void test_a_full_socket_says_again(void)
{
    struct pair p;
    static uint8_t bytes[1 << 20];
    struct iovec piece = {bytes, sizeof bytes};
    size_t n, total = 0;
    enum outcome o;
    make_pair(&p);
    while ((o = os_send(p.server, &piece, 1, false, &n)) == OUT_OK)
        total += n;
    expect(o == OUT_AGAIN && n == 0 && total > 0);
    for (size_t got = 0; got < total;) {
        ssize_t more = read(p.client, bytes, sizeof bytes);
        expect(more > 0);
        got += (size_t)more;
    }
    await_event(p.server, OS_WRITABLE);
    close_pair(&p);
}

void test_an_end_and_a_death_are_told_apart(void)
{
    struct pair p;
    char got[8];
    size_t n;
    make_pair(&p);
    expect(write(p.client, "last", 4) == 4 && shutdown(p.client, SHUT_WR) == 0);
    await_event(p.server, OS_ENDED); /* told while bytes are still unread */
    expect(os_receive(p.server, got, sizeof got, &n) == OUT_OK && n == 4);
    expect(os_receive(p.server, got, sizeof got, &n) == OUT_END);
    char letter = 'x';
    struct iovec piece = {&letter, 1};
    expect(os_send(p.server, &piece, 1, false, &n) == OUT_OK); /* the other way is open */
    close_pair(&p);

    make_pair(&p);
    struct linger now = {1, 0};
    expect(setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    os_close(p.client);
    p.client = -1;
    await_event(p.server, 0); /* a hang-up needs no asking */
    expect(os_receive(p.server, got, sizeof got, &n) == OUT_CLOSED);
    expect(os_send(p.server, &piece, 1, false, &n) == OUT_CLOSED); /* and no signal */
    close_pair(&p);
}

void test_every_address_means_both_families(void)
{
    int listener, port, fd;
    char address[OS_ADDRESS_SIZE];
    expect(os_bind("", 0, &listener, &port) == OUT_OK);
    expect(os_listen(listener) == OUT_OK);
    int four = connect_to(AF_INET, port);
    expect(four >= 0);
    await_event(listener, OS_READABLE);
    expect(os_accept(listener, &fd, address) == OUT_OK);
    expect_str(address, "127.0.0.1");
    os_close(fd);
    int six = connect_to(AF_INET6, port);
    if (six >= 0) { /* a container may have no IPv6 */
        await_event(listener, OS_READABLE);
        expect(os_accept(listener, &fd, address) == OUT_OK);
        expect_str(address, "::1");
        os_close(fd);
    }
    os_close(four);
    os_close(six);
    os_close(listener);
}

void test_listening_fails_with_a_reason(void)
{
    int first, second, port, other;
    expect(os_bind("localhost", 0, &first, &port) == OUT_OK);
    expect(os_listen(first) == OUT_OK);
    expect(os_bind("127.0.0.1", port, &second, &other) == OUT_IN_USE);
    expect(strstr(outcome_trail(), "127.0.0.1:") != NULL);
    expect(second == -1);
    expect(os_bind("192.0.2.1", 0, &second, &other) != OUT_OK); /* not ours: TEST-NET-1 */
    expect(os_bind("no such name", 0, &second, &other) == OUT_NOT_FOUND);
    expect(strstr(outcome_trail(), "no such name") != NULL);
    os_close(first);
}

void test_the_poller_waits_as_long_as_told(void)
{
    int poller;
    struct os_event e[4];
    struct pair p;
    make_pair(&p);
    expect(os_poller_open(&poller) == OUT_OK);
    expect(os_poller_add(poller, p.server, OS_READABLE, &p) == OUT_OK);
    int64_t from = os_now_ns();
    expect_eq(os_poller_wait(poller, e, 4, 1500000), 0); /* less than the 2 ms of whole ones */
    expect(os_now_ns() - from >= 1500000);
    os_poller_change(poller, p.server, OS_READABLE | OS_WRITABLE, &p);
    expect_eq(os_poller_wait(poller, e, 4, -1), 1);
    expect_eq(e[0].what, OS_WRITABLE);
    expect(os_poller_add(poller, p.server, 0, &p) != OUT_OK); /* it is there already */
    os_close(poller);
    close_pair(&p);
}
