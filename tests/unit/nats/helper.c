/* SPDX-License-Identifier: MIT */
#include "helper.h"

#include "broker/shard.h"

static struct shard shards[SHARDS];
static struct shard *shard_list[SHARDS];
static struct peer *peers;

/* ---- the link's other side ---- */

static struct peer *peer_of(struct link *l) { return container_of(l, struct peer, link); }

static void gather(struct peer *p, const void *from, size_t size)
{
    if (p->out_size + size + 1 > p->out_room) {
        p->out_room = (p->out_size + size + 1) * 2;
        p->out = realloc(p->out, p->out_room);
        expect(p->out != NULL);
    }
    if (size > 0)
        memcpy(p->out + p->out_size, from, size);
    p->out_size += size;
    p->out[p->out_size] = '\0';
}

static void seal(struct peer *p)
{
    if (p->chunk != NULL)
        gather(p, p->chunk, (size_t)(p->link.at - p->chunk));
    free(p->chunk);
    p->chunk = NULL;
    p->link.at = p->link.end = NULL;
}

static uint8_t *grow(struct link *l, size_t size)
{
    struct peer *p = peer_of(l);
    size_t room = size + 32; /* small: the end of a chunk is met often */
    seal(p);
    p->chunk = malloc(room);
    expect(p->chunk != NULL);
    l->at = p->chunk;
    l->end = p->chunk + room;
    return l->at;
}

static bool lend(struct link *l, struct bytes piece, struct store_hold *hold)
{
    struct peer *p = peer_of(l);
    expect(hold != NULL);
    seal(p);
    gather(p, piece.at, piece.size);
    l->pending += piece.size;
    l->out_bytes += piece.size;
    link_ready(l);
    return true;
}

static bool borrow(struct link *l, struct bytes piece, struct loan *loan)
{
    expect(loan->count > 0);
    return link_write(l, piece.at, piece.size);
}

static void loan_over(struct loan *loan) { expect(loan->count == 0); }

static void ready(struct link *l) { (void)l; }
static void pause_reading(struct link *l) { peer_of(l)->paused = true; }
static void resume_reading(struct link *l) { peer_of(l)->paused = false; }

static void end(struct link *l, enum link_end how)
{
    peer_of(l)->ended = true;
    peer_of(l)->how = how;
}

static const struct link_ops ops = {.grow = grow, .lend = lend, .borrow = borrow, .ready = ready,
                                    .pause = pause_reading, .resume = resume_reading,
                                    .end = end};

/* ---- turns ---- */

static void serve(struct peer *p)
{
    while (!p->paused && !p->ended && p->in_size > 0 && p->in_size >= p->want) {
        size_t want = 0;
        struct loan loan = {1, loan_over};
        p->link.loan = &loan;
        size_t used = nats_door.link->received(&p->link, bytes_view(p->in, p->in_size), &want);
        p->link.loan = NULL;
        loan_drop(&loan);
        expect(used <= p->in_size);
        memmove(p->in, p->in + used, p->in_size - used);
        p->in_size -= used;
        p->want = want;
        expect(want == 0 || want > p->in_size);
        if (used == 0)
            break;
    }
}

static void turn(int i)
{
    shard_become(&shards[i]);
    shard_run_mail(&shards[i], 1000);
    shard_run_timers(&shards[i], 1000);
    for (struct peer *p = peers; p != NULL; p = p->next) {
        if (!p->gone && p->link.home == &shards[i])
            serve(p);
    }
    shard_end_turn(&shards[i]);
    for (struct peer *p = peers; p != NULL; p = p->next) {
        if (p->gone || p->link.home != &shards[i])
            continue;
        p->link.dirty = false;
        if (!p->stuck && p->link.pending > 0) {
            p->link.pending = 0;
            nats_door.link->drained(&p->link);
        }
        if (p->ended)
            peer_close(p);
    }
    shard_end_turn(&shards[i]);
}

void pass(int64_t ms)
{
    for (int i = 0; i < SHARDS; i++) {
        shards[i].now_ns += ms * 1000000;
        shards[i].wall_ms += ms;
    }
    for (int round = 0; round < 8; round++)
        turn(round % SHARDS);
}

int64_t now_ms(void) { return shards[0].wall_ms; }

/* ---- the door ---- */

struct nats_options door_options(void)
{
    return (struct nats_options){
        .host = "127.0.0.1", .port = 4222, .shards = shard_list, .shard_count = SHARDS,
        .max_payload = (int32_t)MiB(1), .max_control_line = 4096, .max_connections = 1000,
        .ping_max = 2, .max_pending = (int64_t)MiB(64), .ping_interval_ms = 120000,
        .write_deadline_ms = 10000, .auth_timeout_ms = 2000, .lame_duck_ms = 10000,
        .overflow = LIVE_DISCONNECT, .overflow_messages = 100};
}

void door_open(const struct nats_options *o)
{
    struct nats_options standard = door_options();
    for (int i = 0; i < SHARDS; i++) {
        expect(shard_open(&shards[i], i) == OUT_OK);
        shards[i].now_ns = 1000000000;
        shards[i].wall_ms = 1700000000000;
        shard_list[i] = &shards[i];
    }
    enum outcome done = nats_start(o == NULL ? &standard : o);
    if (done != OUT_OK)
        printf("# %s\n", outcome_trail());
    expect(done == OUT_OK);
}

void door_close(void)
{
    for (struct peer *p; (p = peers) != NULL;) {
        peers = p->next;
        shard_become(p->link.home);
        peer_close(p);
        free(p->out);
        free(p->in);
        free(p);
    }
    pass(0);
    struct nats_figures f;
    expect(nats_figures(&f));
    expect_eq(f.connections, 0);
    expect_eq(f.subscriptions, 0);
    nats_close();
    for (int i = 0; i < SHARDS; i++)
        shard_close(&shards[i]);
}

/* ---- peers ---- */

struct peer *peer_raw(int shard)
{
    struct peer *p = calloc(1, sizeof *p);
    expect(p != NULL);
    p->link = (struct link){.home = &shards[shard], .peer = "127.0.0.1", .peer_port = 5000,
                            .listener = "NATS", .ops = &ops};
    gather(p, "", 0);
    p->next = peers;
    peers = p;
    shard_become(&shards[shard]);
    if (!nats_door.link->opened(&p->link)) {
        p->ended = true;
        peer_close(p);
    }
    return p;
}

struct peer *peer_new(int shard)
{
    struct peer *p = peer_raw(shard);
    pass(0);
    expect(strncmp(peer_out(p), "INFO {", 6) == 0);
    return p;
}

void peer_close(struct peer *p)
{
    if (p->gone)
        return;
    p->gone = true;
    nats_door.link->closed(&p->link);
    seal(p);
}

void peer_bytes(struct peer *p, const void *from, size_t size)
{
    p->in = realloc(p->in, p->in_size + size);
    expect(p->in != NULL);
    memcpy(p->in + p->in_size, from, size);
    p->in_size += size;
    shard_become(p->link.home);
    if (!p->gone)
        serve(p);
}

void peer_send(struct peer *p, const char *text) { peer_bytes(p, text, strlen(text)); }

const char *peer_out(struct peer *p)
{
    static char *taken;
    free(taken);
    if (!p->gone)
        seal(p);
    taken = p->out;
    p->out = NULL;
    p->out_size = p->out_room = 0;
    gather(p, "", 0);
    return taken;
}

void peer_expect(struct peer *p, const char *text)
{
    pass(0);
    const char *out = peer_out(p);
    if (strcmp(out, text) != 0)
        printf("# got: %.2000s\n# not: %.2000s\n", out, text);
    expect(strcmp(out, text) == 0);
}

struct peer *peer_connect(int shard, const char *json)
{
    struct peer *p = peer_new(shard);
    peer_send(p, "CONNECT ");
    peer_send(p, json);
    peer_send(p, "\r\n");
    pass(0);
    return p;
}

struct peer *peer_quiet(int shard)
{
    struct peer *p = peer_connect(shard, "{\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                                         "\"no_responders\":true}");
    peer_expect(p, "");
    return p;
}
