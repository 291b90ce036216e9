/* SPDX-License-Identifier: MIT */
/* Messages of all sizes to other shards: whole, in order, with all that belongs to them. */
#include "tap.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES 400
#define SIZE_MOST (MiB(2) + 100)

static struct {
    struct world world;
    uint8_t pattern[SIZE_MOST];
    size_t sizes[MESSAGES];
    struct live_sub subs[WORLD_SHARDS];
    uint32_t got[WORLD_SHARDS];
    enum live_taken answer[WORLD_SHARDS];
} t;

static enum live_taken look(struct live_sub *sub, const struct live_message *m)
{
    size_t shard = (size_t)(sub - t.subs);
    if (t.answer[shard] != LIVE_TAKEN)
        return t.answer[shard];
    uint32_t number = t.got[shard]++;
    size_t size = t.sizes[number];
    expect(m->offset == number && m->timestamp_ms == 7 && m->deadline_ms == 1000000 + number);
    expect(bytes_is(m->subject, "some.subject"));
    expect(number % 3 == 0 ? m->reply.size == 0 : bytes_is(m->reply, "a.reply"));
    expect(m->headers.size == number % 5 && m->payload.size == size);
    expect(memcmp(m->headers.at, t.pattern, m->headers.size) == 0);
    expect(memcmp(m->payload.at, t.pattern + number, size) == 0);
    return LIVE_TAKEN;
}

/* Some have a hold already; many are published before the turn ends. */
static void publish_all(int from)
{
    static const size_t edges[] = {0, 1, 900, 1000, 1024, 1100, 2048, KiB(16) - 30, KiB(16),
                                   KiB(16) + 1, 50000, KiB(64), 70000, MiB(1), MiB(2)};
    for (uint32_t i = 0; i < MESSAGES; i++) {
        t.sizes[i] = i % 4 == 0 ? edges[world_random(&t.world, COUNT_OF(edges) - 2 * (i % 8 != 0))]
                                : world_random(&t.world, i % 4 == 1 ? 3000 : 100);
        struct live_message m = {
            .subject = bytes_of("some.subject"), .reply = bytes_of(i % 3 == 0 ? NULL : "a.reply"),
            .headers = bytes_view(t.pattern, i % 5), .deadline_ms = 1000000 + i, .offset = i,
            .payload = bytes_view(t.pattern + i, t.sizes[i]), .timestamp_ms = 7}, copy;
        struct live_reach reach;
        bool held = world_random(&t.world, 4) == 0;
        if (held)
            expect(live_message_copy(&m, &copy) == OUT_OK);
        live_publish(world_shard(&t.world, from), held ? &copy : &m, NULL, &reach);
        if (held)
            store_hold_drop(copy.hold);
        if (world_random(&t.world, 20) == 0) { /* the turn ends; what was posted stays for now */
            t.world.flush_wanted[from] = false;
            live_flush(world_shard(&t.world, from));
        }
    }
    world_settle(&t.world);
}

static void run(int shards)
{
    struct live_figures f;
    memset(&t, 0, sizeof t);
    world_start(&t.world, shards, 0);
    for (size_t i = 0; i < sizeof t.pattern; i++)
        t.pattern[i] = (uint8_t)(i * 31 + i / 253);
    for (int i = 0; i < shards; i++) {
        t.subs[i] = (struct live_sub){.deliver = look, .overflow = LIVE_BLOCK};
        expect(live_subscribe(world_shard(&t.world, i), &t.subs[i], bytes_of("some.*"),
                              bytes_of(NULL)) == OUT_OK);
    }
    t.answer[shards - 1] = LIVE_BUSY; /* what it can't take must outlive the batch */
    publish_all(0);
    t.answer[shards - 1] = LIVE_TAKEN;
    expect(live_drain(&t.subs[shards - 1], 5));
    for (int i = 0; i < shards; i++) {
        expect_eq(t.got[i], MESSAGES);
        live_unsubscribe(&t.subs[i]);
    }
    live_figures(t.world.live, &f);
    expect(account_adds_up(&f.account));
    expect_eq(f.account.delivered, (uint64_t)MESSAGES * (uint64_t)shards);
    world_stop(&t.world);
}

void test_to_one_other_shard(void)
{
    run(2);
}

void test_to_several(void)
{
    run(4);
}
