/* SPDX-License-Identifier: MIT */
/*
 * The door as a whole: opened before the reactors run, closed after; its part on each reactor; what
 * it tells people who look.
 */
#include "nats/check.h"
#include "nats/sums.h"
#include "nats/topic.h"

#include <openssl/rand.h>
#include <stdlib.h>

struct nats *nats_door_open;

/* ---- what live/ asks of us ---- */

static void post(void *context, int shard, struct mail *mail)
{
    struct nats *n = context;
    shard_post(n->shards[shard].shard, mail);
}

static void want_flush(void *context, int shard)
{
    struct nats *n = context;
    shard_at_end(n->shards[shard].shard, &n->shards[shard].flush);
}

static void unblocked(void *context, int shard)
{
    struct nats *n = context;
    nats_go_on(&n->shards[shard]);
    nats_taps_go_on(&n->shards[shard]);
}

static int64_t wall_ms(void *context, int shard)
{
    const struct nats *n = context;
    return n->shards[shard].shard->wall_ms;
}

static void flush(struct shard_hook *hook, struct shard *s)
{
    (void)s;
    live_flush(container_of(hook, struct nats_shard, flush)->live);
}

static void bury(struct shard_hook *hook, struct shard *s)
{
    (void)s;
    nats_bury(container_of(hook, struct nats_shard, bury));
}

/* ---- life ---- */

static void open_shard(struct nats *n, int i)
{
    struct nats_shard *h = &n->shards[i];
    *h = (struct nats_shard){.nats = n, .shard = n->options.shards[i],
                             .live = live_shard(n->live, i), .flush = {.run = flush},
                             .bury = {.run = bury},
                             .append = {.run = nats_batches_end},
                             .lame_duck = {.deliver = nats_duck},
                             .plenty = MIN(NATS_BUSY_BYTES, (size_t)n->options.max_pending)};
    list_init(&h->sessions);
    list_init(&h->held);
    list_init(&h->pressed);
    list_init(&h->stalled);
    list_init(&h->batches);
    list_init(&h->taps_held);
    nats_sums_init(&h->sums);
    list_init(&h->consumers);
    nats_timers_init(&h->timers, h->shard);
}

static enum outcome open_live(struct nats *n)
{
    struct live_options l = {.shard_count = n->options.shard_count, .post = post,
                             .want_flush = want_flush, .unblocked = unblocked,
                             .wall_ms = wall_ms, .context = n};
    if (RAND_bytes((unsigned char *)&l.seed, sizeof l.seed) != 1)
        return fail(OUT_IO, "the system has no randomness");
    enum outcome o = live_new(&l, &n->live);
    for (int i = 0; o == OUT_OK && i < n->options.shard_count; i++)
        open_shard(n, i);
    n->options.shards = NULL; /* the caller's */
    return o;
}

static enum outcome name_it(struct nats *n)
{
    const char *name = n->options.server_name;
    uint8_t key[NATS_KEY_BYTES];
    if (RAND_bytes(key, sizeof key) != 1)
        return fail(OUT_IO, "the system has no randomness");
    nats_key_encode('N', key, n->id);
    n->name = strdup(name == NULL || name[0] == '\0' ? n->id : name);
    n->host = strdup(n->options.host == NULL ? "" : n->options.host);
    if (n->name == NULL || n->host == NULL)
        return fail(OUT_NO_MEMORY, "the NATS door");
    return nats_info_make(n);
}

static void give_up(struct nats *n)
{
    nats_checker_stop(n);
    if (n->live != NULL)
        live_free(n->live);
    nats_users_free(n->users);
    free(n->shards);
    free(n->host);
    free(n->name);
    free((void *)(uintptr_t)n->info.at);
    free(n);
}

enum outcome nats_start(const struct nats_options *o)
{
    check(nats_door_open == NULL);
    struct nats *n = calloc(1, sizeof *n);
    if (n == NULL)
        return fail(OUT_NO_MEMORY, "the NATS door");
    n->options = *o;
    n->limits = (struct nats_limits){(size_t)o->max_control_line, (size_t)o->max_payload};
    n->started_ms = os_wall_ms();
    n->shards = aligned_alloc(CACHE_LINE, sizeof *n->shards * (size_t)o->shard_count);
    enum outcome out = n->shards == NULL ? fail(OUT_NO_MEMORY, "the NATS door") : OUT_OK;
    if (out == OUT_OK && o->users_file != NULL && o->users_file[0] != '\0')
        out = nats_users_load(o->users_file, &n->users);
    if (out == OUT_OK)
        out = name_it(n);
    if (out == OUT_OK)
        out = nats_checker_start(n);
    if (out == OUT_OK)
        out = open_live(n);
    if (out != OUT_OK) {
        give_up(n);
        return out;
    }
    nats_door_open = n;
    return OUT_OK;
}

void nats_close(void)
{
    struct nats *n = nats_door_open;
    if (n == NULL)
        return;
    nats_door_open = NULL;
    for (int i = 0; i < n->options.shard_count; i++) {
        nats_bury(&n->shards[i]);
        nats_topics_close(&n->shards[i]);
        nats_sums_fini(&n->shards[i].sums);
    }
    give_up(n);
}

struct live *nats_live(void)
{
    return nats_door_open == NULL ? NULL : nats_door_open->live;
}

void nats_lame_duck(void)
{
    struct nats *n = nats_door_open;
    if (n == NULL || atomic_exchange(&n->lame_duck, true))
        return;
    watch_log(WATCH_INFO, "nats", "lame duck: connections close over %lld ms",
              (long long)n->options.lame_duck_ms);
    for (int i = 0; i < n->options.shard_count; i++)
        shard_post(n->shards[i].shard, &n->shards[i].lame_duck);
}

/* ---- figures ---- */

static uint64_t sum(const struct nats *n, enum nats_count which)
{
    uint64_t total = 0;
    for (int i = 0; i < n->options.shard_count; i++)
        total += atomic_load_explicit(&n->shards[i].counts[which], memory_order_relaxed);
    return total;
}

bool nats_figures(struct nats_figures *f)
{
    const struct nats *n = nats_door_open;
    if (n == NULL)
        return false;
    const struct nats_options *o = &n->options;
    uint64_t gone = sum(n, NATS_SUBS_GONE); /* first: never more than were made */
    uint64_t made = sum(n, NATS_SUBS_MADE);
    *f = (struct nats_figures){
        .server_id = n->id, .server_name = n->name, .host = n->host, .port = o->port,
        .max_payload = o->max_payload, .max_control_line = o->max_control_line,
        .max_connections = o->max_connections, .ping_max = o->ping_max,
        .max_pending = o->max_pending, .ping_interval_ms = o->ping_interval_ms,
        .write_deadline_ms = o->write_deadline_ms, .auth_timeout_ms = o->auth_timeout_ms,
        .auth_required = n->users != NULL, .started_ms = n->started_ms,
        .connections = (uint64_t)MAX(atomic_load(&n->connections), 0),
        .total_connections = atomic_load(&n->last_cid),
        .subscriptions = made - gone, .subscriptions_made = made,
        .in_messages = sum(n, NATS_IN_MESSAGES), .out_messages = sum(n, NATS_OUT_MESSAGES),
        .in_bytes = sum(n, NATS_IN_BYTES), .out_bytes = sum(n, NATS_OUT_BYTES),
        .slow_consumers = sum(n, NATS_SLOW), .stale_connections = sum(n, NATS_STALE),
        .auth_failures = sum(n, NATS_AUTH_FAILED),
        .protocol_errors = sum(n, NATS_PROTOCOL_ERRORS)};
    live_figures(n->live, &f->live);
    return true;
}
