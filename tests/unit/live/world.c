/* SPDX-License-Identifier: MIT */
#include "world.h"

#include "tap.h"

static void post(void *context, int shard, struct mail *mail)
{
    struct world *w = context;
    mail->next = NULL;
    *w->last[shard] = mail;
    w->last[shard] = &mail->next;
    if (w->posted != NULL)
        w->posted(shard);
}

static void want_flush(void *context, int shard)
{
    struct world *w = context;
    expect(!w->flush_wanted[shard]);
    w->flush_wanted[shard] = true;
}

static void unblocked(void *context, int shard)
{
    struct world *w = context;
    w->unblocked[shard]++;
}

static int64_t wall(void *context, int shard)
{
    struct world *w = context;
    (void)shard;
    return w->wall_ms;
}

void world_start(struct world *w, int shard_count, size_t forward_bytes_max)
{
    *w = (struct world){.shard_count = shard_count, .wall_ms = 1000, .seed = 42};
    for (int i = 0; i < WORLD_SHARDS; i++)
        w->last[i] = &w->first[i];
    struct live_options o = {.shard_count = shard_count, .post = post, .want_flush = want_flush,
                             .unblocked = unblocked, .wall_ms = wall, .context = w,
                             .forward_bytes_max = forward_bytes_max, .seed = 7};
    expect(live_new(&o, &w->live) == OUT_OK);
}

void world_stop(struct world *w)
{
    world_settle(w);
    live_free(w->live);
}

struct live_shard *world_shard(struct world *w, int shard)
{
    return live_shard(w->live, shard);
}

uint32_t world_random(struct world *w, uint32_t below)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((w->seed >> 33) % below);
}

bool world_mail(struct world *w, int shard)
{
    struct mail *mail = w->first[shard];
    if (mail == NULL)
        return false;
    w->first[shard] = mail->next;
    if (mail->next == NULL)
        w->last[shard] = &w->first[shard];
    mail->deliver(mail);
    return true;
}

void world_settle(struct world *w)
{
    bool more = true;
    while (more) {
        more = false;
        for (int i = 0; i < w->shard_count; i++) {
            if (w->flush_wanted[i]) {
                w->flush_wanted[i] = false;
                live_flush(world_shard(w, i));
                more = true;
            }
            while (world_mail(w, i))
                more = true;
        }
    }
}

struct live_reach world_publish(struct world *w, int shard, const char *subject, const char *text)
{
    struct live_reach reach;
    struct live_message m = {.subject = bytes_of(subject), .payload = bytes_of(text), .offset = -1};
    live_publish(world_shard(w, shard), &m, NULL, &reach);
    return reach;
}

static enum live_taken take(struct live_sub *sub, const struct live_message *m)
{
    struct taker *t = container_of(sub, struct taker, sub);
    if (t->answer == LIVE_TAKEN) {
        size_t at = strlen(t->got);
        expect(at + m->payload.size + 2 < sizeof t->got);
        t->got[at] = ' ';
        if (m->payload.size != 0)
            memcpy(t->got + at + 1, m->payload.at, m->payload.size);
        t->got[at + 1 + m->payload.size] = '\0';
        t->count++;
    }
    if (t->leaves)
        live_unsubscribe(sub);
    return t->answer;
}

static void overflowed(struct live_sub *sub)
{
    container_of(sub, struct taker, sub)->overflows++;
}

void taker_start(struct world *w, struct taker *t, int shard, const char *pattern,
                 const char *queue)
{
    t->sub.deliver = take;
    t->sub.overflowed = overflowed;
    if (t->sub.owner == NULL)
        t->sub.owner = t;
    expect(live_subscribe(world_shard(w, shard), &t->sub, bytes_of(pattern), bytes_of(queue)) ==
           OUT_OK);
}

bool account_adds_up(const struct live_account *a)
{
    uint64_t sum = a->delivered + a->expired + a->pending;
    for (int i = 0; i < LIVE_REASONS; i++)
        sum += a->dropped[i];
    return sum == a->matched;
}
