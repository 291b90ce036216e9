/* SPDX-License-Identifier: MIT */
/*
 * Accepting, on the first reactor: connections go round robin to all of them. One too many is
 * closed at once; when descriptors run out a reserved one is given up to turn the caller away, so
 * that the listener does not stay readable for ever. When even that fails nobody is accepted for a
 * moment.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#include <stdlib.h>

#define ACCEPTS_PER_TURN 64
#define PAUSE_NS 100000000

static void arrive(struct mail *mail)
{
    conn_begin(container_of(mail, struct conn, mail));
}

void net_forget(struct net *net, struct conn *c)
{
    atomic_fetch_sub(&net->connections, 1);
    addresses_leave(net->addresses, c->address);
    gauge_add(connections_active, -1);
}

static void refuse(int fd, const char *address, const char *why)
{
    count(connections_refused, 1);
    watch_peer(WATCH_WARN, "net", "refused a connection from %s: %s", address, why);
    os_close(fd);
}

void net_limit(struct net *net, int connections_max, int connections_per_ip_max)
{
    atomic_store(&net->connections_max, connections_max);
    atomic_store(&net->connections_per_ip_max, connections_per_ip_max);
}

static void welcome(struct net *net, int fd, const struct net_listener *listener,
                    const char address[static OS_ADDRESS_SIZE])
{
    if (atomic_load(&net->connections) >= atomic_load(&net->connections_max)) {
        refuse(fd, address, "max-connections is reached");
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    int most = atomic_load(&net->connections_per_ip_max);
    if (c == NULL || !addresses_enter(net->addresses, address, most)) {
        refuse(fd, address, c == NULL ? "out of memory" : "max.connections.per.ip is reached");
        free(c);
        return;
    }
    atomic_fetch_add(&net->connections, 1);
    count(connections, 1);
    gauge_add(connections_active, 1);
    c->magic = CONN_MAGIC;
    c->fd = fd;
    c->listener = listener;
    memcpy(c->address, address, OS_ADDRESS_SIZE);
    list_init(&c->node);
    list_init(&c->ready);
    list_init(&c->hungry);
    list_init(&c->requests);
    c->reactor = &net->reactors[net->next_reactor++ % net->reactor_count];
    c->mail.deliver = arrive;
    shard_post(&c->reactor->shard, &c->mail);
}

static void listen_for(struct net *net, unsigned what)
{
    for (int i = 0; i < net->options.listener_count; i++)
        os_poller_change(net->reactors[0].poller, net->listen_fd[i], what, &net->listener_of[i]);
}

void net_unpause(struct shard_timer *timer, int64_t now_ns)
{
    struct reactor *r = container_of(timer, struct reactor, unpause);
    (void)now_ns;
    listen_for(r->net, OS_READABLE);
}

static void pause_accepting(struct net *net)
{
    struct reactor *r = &net->reactors[0];
    if (shard_timer_set(&r->shard, &r->unpause, r->shard.now_ns + PAUSE_NS) == OUT_OK)
        listen_for(net, 0);
}

/* Out of descriptors: take the caller with the reserved one and send it away. */
static void turn_away(struct net *net, int listener)
{
    char address[OS_ADDRESS_SIZE] = "";
    int fd;
    os_close(net->reserve_fd);
    enum outcome o = os_accept(net->listen_fd[listener], &fd, address);
    if (o == OUT_OK)
        refuse(fd, address, "too many open files: raise the limit (ulimit -n)");
    net->reserve_fd = os_reserve();
    if (o == OUT_NO_FILES || net->reserve_fd < 0)
        pause_accepting(net);
}

void net_accept(struct net *net, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        char address[OS_ADDRESS_SIZE] = "";
        int fd;
        enum outcome o = os_accept(net->listen_fd[listener], &fd, address);
        if (o == OUT_NO_FILES) {
            turn_away(net, listener);
            return;
        }
        if (o == OUT_AGAIN)
            return;
        if (o == OUT_OK)
            welcome(net, fd, &net->options.listeners[listener], address);
    }
}
