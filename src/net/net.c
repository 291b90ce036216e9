/* SPDX-License-Identifier: MIT */
/* Opening, starting and stopping the reactors and their listeners. */
#include "net/net.h"

#include "base/check.h"
#include "net/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

static enum outcome open_reactor(struct net *net, int index)
{
    struct reactor *r = &net->reactors[index];
    r->net = net;
    r->index = index;
    list_init(&r->conns);
    list_init(&r->flushing);
    list_init(&r->pool);
    net->shards[index] = &r->shard;
    enum outcome o = shard_open(&r->shard, index);
    if (o == OUT_OK)
        o = os_poller_open(&r->poller);
    if (o == OUT_OK)
        o = os_poller_add(r->poller, r->shard.mailbox.wake_fd, OS_READABLE, &r->shard.mailbox);
    return o;
}

static enum outcome open_listeners(struct net *net)
{
    for (int i = 0; i < net->options.listener_count; i++) {
        const struct net_listener *l = &net->options.listeners[i];
        enum outcome o = os_listen(l->host, l->port, &net->listen_fd[i], &net->port[i]);
        if (o != OUT_OK)
            return o;
    }
    net->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return OUT_OK;
}

enum outcome net_open(const struct net_options *o, struct net **out)
{
    check(o->reactor_count > 0 && o->listener_count <= NET_LISTENERS);
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return fail(OUT_NO_MEMORY, "start the network");
    net->options = *o;
    net->reserve_fd = -1;
    for (int i = 0; i < NET_LISTENERS; i++) {
        net->listen_fd[i] = -1;
        net->listener_of[i] = i;
    }
    net->addresses = addresses_new();
    net->shards = calloc((size_t)o->reactor_count, sizeof *net->shards);
    net->reactors = aligned_alloc(CACHE_LINE, ((size_t)o->reactor_count * sizeof *net->reactors +
                                               CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    if (net->addresses == NULL || net->shards == NULL || net->reactors == NULL) {
        free(net->reactors);
        net->reactors = NULL;
        net_close(net);
        return fail(OUT_NO_MEMORY, "start the network");
    }
    memset(net->reactors, 0, (size_t)o->reactor_count * sizeof *net->reactors);
    enum outcome result = OUT_OK;
    for (int i = 0; i < o->reactor_count && result == OUT_OK; i++) {
        net->reactor_count = i + 1;
        result = open_reactor(net, i);
    }
    if (result == OUT_OK)
        result = open_listeners(net);
    if (result != OUT_OK) {
        net_close(net);
        return result;
    }
    reactor_completer();
    *out = net;
    return OUT_OK;
}

struct shard **net_shards(struct net *net, int *count)
{
    *count = net->reactor_count;
    return net->shards;
}

int net_port(const struct net *net, int listener)
{
    return net->port[listener];
}

int net_connections(const struct net *net)
{
    return atomic_load(&net->connections);
}

enum outcome net_start(struct net *net)
{
    sigset_t all, before;
    struct reactor *first = &net->reactors[0];
    for (int i = 0; i < net->options.listener_count; i++) {
        enum outcome o = os_poller_add(first->poller, net->listen_fd[i], OS_READABLE,
                                       &net->listener_of[i]);
        if (o != OUT_OK)
            return o;
    }
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    for (int i = 0; i < net->reactor_count && failed == 0; i++) {
        struct reactor *r = &net->reactors[i];
        failed = pthread_create(&r->thread, NULL, reactor_main, r);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    net->started = failed == 0;
    return failed == 0 ? OUT_OK : fail(OUT_NO_MEMORY, "start a reactor thread");
}

static void woken(struct mail *mail)
{
    (void)mail; /* the turn that delivers it sees `stopping` */
}

void net_stop(struct net *net, int64_t grace_ms)
{
    if (!net->started)
        return;
    net->grace_ns = grace_ms * 1000000;
    atomic_store(&net->stopping, true);
    for (int i = 0; i < net->reactor_count; i++) {
        net->reactors[i].stop.deliver = woken;
        shard_post(&net->reactors[i].shard, &net->reactors[i].stop);
    }
    for (int i = 0; i < net->reactor_count; i++)
        pthread_join(net->reactors[i].thread, NULL);
    net->started = false;
}

static void close_reactor(struct reactor *r)
{
    for (struct list *n; (n = list_pop(&r->pool)) != NULL;) {
        struct request *q = container_of(n, struct request, node);
        arena_fini(&q->arena);
        free(q);
    }
    os_close(r->poller);
    shard_close(&r->shard);
}

void net_close(struct net *net)
{
    check(!net->started);
    for (int i = 0; i < NET_LISTENERS; i++)
        os_close(net->listen_fd[i]);
    os_close(net->reserve_fd);
    for (int i = 0; i < net->reactor_count; i++)
        close_reactor(&net->reactors[i]);
    addresses_free(net->addresses);
    free(net->shards);
    free(net->reactors);
    free(net);
}
