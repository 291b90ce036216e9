/* SPDX-License-Identifier: MIT */
/* Opening, starting and stopping the reactors and their listeners. */
#include "net/net.h"

#include "base/check.h"
#include "net/private.h"
#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>

static enum outcome open_reactor(struct net *net, int index)
{
    struct reactor *r = &net->reactors[index];
    r->net = net;
    r->index = index;
    reactor_init(r);
    net->shards[index] = &r->shard;
    r->poller = r->alarm = -1;
    enum outcome o = shard_open(&r->shard, index);
    if (o == OUT_OK)
        o = os_poller_open(&r->poller);
    if (o == OUT_OK)
        o = os_poller_add(r->poller, r->shard.mailbox.wake_fd, OS_READABLE | OS_ONCE,
                          &r->shard.mailbox);
    if (o == OUT_OK)
        o = os_alarm_open(&r->alarm);
    if (o == OUT_OK)
        o = os_poller_add(r->poller, r->alarm, OS_READABLE | OS_ONCE, &r->alarm);
    return o;
}

static enum outcome open_listeners(struct net *net)
{
    for (int i = 0; i < net->options.listener_count; i++) {
        const struct net_listener *l = &net->options.listeners[i];
        enum outcome o = os_bind(l->host, l->port, &net->listen_fd[i], &net->port[i]);
        if (o != OUT_OK)
            return l->option == NULL ? o : outcome_add(o, "the port of %s (%s chooses another)",
                                                       l->name, l->option);
    }
    net->reserve_fd = os_reserve();
    return OUT_OK;
}

enum outcome net_open(const struct net_options *o, struct net **out)
{
    check(o->reactor_count > 0 && o->listener_count <= NET_LISTENERS);
    struct net *net = calloc(1, sizeof *net);
    *out = NULL;
    if (net == NULL)
        return fail(OUT_NO_MEMORY, "start the network");
    net->options = *o;
    net_limit(net, o->connections_max, o->connections_per_ip_max);
    if (net->options.connection_bytes_max == 0)
        net->options.connection_bytes_max = CONNECTION_BYTES_MAX;
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
    struct reactor *first = &net->reactors[0];
    for (int i = 0; i < net->options.listener_count; i++) {
        enum outcome o = os_listen(net->listen_fd[i]);
        if (o != OUT_OK)
            return outcome_add(o, "listeners");
        o = os_poller_add(first->poller, net->listen_fd[i], OS_READABLE, &net->listener_of[i]);
        if (o != OUT_OK)
            return o;
    }
    net->started = true;
    for (int i = 0; i < net->reactor_count; i++) {
        char name[24];
        snprintf(name, sizeof name, "reactor-%d", i);
        enum outcome o = os_thread_start(name, reactor_main, &net->reactors[i],
                                         &net->reactors[i].thread);
        if (o != OUT_OK) {
            net_stop(net, 0);
            return o;
        }
    }
    return OUT_OK;
}

static void woken(struct mail *mail)
{
    (void)mail; /* the turn that delivers it sees `stopping` */
}

/* A connection that was on its way to a reactor when that ended; its thread is ours now. */
static void deliver_rest(struct reactor *r)
{
    shard_become(&r->shard);
    r->stopping = true;
    while (shard_run_mail(&r->shard, 1) > 0) {
    }
    shard_become(NULL);
    if (r->outstanding > 0)
        watch_log(WATCH_WARN, "net", "stopped with %d requests still under way", r->outstanding);
}

void net_stop(struct net *net, int64_t grace_ms)
{
    if (!net->started)
        return;
    net->grace_ns = grace_ms * 1000000;
    atomic_store(&net->busy, net->reactor_count);
    atomic_store(&net->stopping, true);
    for (int i = 0; i < net->reactor_count; i++) {
        net->reactors[i].stop.deliver = woken;
        shard_post(&net->reactors[i].shard, &net->reactors[i].stop);
    }
    for (int i = 0; i < net->reactor_count; i++)
        os_thread_join(&net->reactors[i].thread);
    for (int i = 0; i < net->reactor_count; i++)
        deliver_rest(&net->reactors[i]);
    net->started = false;
}

/* False: somebody may still post to it. */
static bool close_reactor(struct reactor *r)
{
    for (struct list *n; (n = list_pop(&r->pool)) != NULL;) {
        struct request *q = container_of(n, struct request, node);
        arena_fini(&q->arena);
        free(q);
    }
    buffers_trim(r);
    chunks_trim(r);
    copies_trim(r);
    os_close(r->alarm);
    os_close(r->poller);
    if (r->outstanding > 0)
        return false;
    shard_close(&r->shard);
    return true;
}

void net_close(struct net *net)
{
    if (net == NULL)
        return;
    check(!net->started);
    for (int i = 0; i < NET_LISTENERS; i++)
        os_close(net->listen_fd[i]);
    os_close(net->reserve_fd);
    bool all_home = true;
    for (int i = 0; i < net->reactor_count; i++)
        all_home &= close_reactor(&net->reactors[i]);
    if (!all_home)
        return; /* the threads that have requests go on using our memory */
    addresses_free(net->addresses);
    free(net->shards);
    free(net->reactors);
    free(net);
}
