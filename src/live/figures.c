/* SPDX-License-Identifier: MIT */
/*
 * What the engine counted. A shard adds up in its own memory and shows a copy when it has nothing
 * in hand: the accounts add up in every copy. The copy is guarded by a sequence number that is odd
 * while it is written; every word is stored with release after the odd number and read with acquire
 * before the number is compared.
 */
#include "live/private.h"

static_assert(sizeof(struct tally) % sizeof(uint64_t) == 0, "a tally is made of words");

void tally_share(struct live_shard *s)
{
    if (s->depth != 0)
        return;
    s->untallied = false;
    struct shared_tally *to = &s->shared;
    uint64_t words[TALLY_WORDS];
    memcpy(words, &s->tally, sizeof words);
    uint32_t sequence = atomic_load_explicit(&to->sequence, memory_order_relaxed);
    atomic_store_explicit(&to->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < TALLY_WORDS; i++)
        atomic_store_explicit(&to->words[i], words[i], memory_order_release);
    atomic_store_explicit(&to->sequence, sequence + 2, memory_order_release);
}

static struct tally tally_read(struct shared_tally *from)
{
    struct tally t;
    uint64_t words[TALLY_WORDS];
    uint32_t before, after;
    do {
        before = atomic_load_explicit(&from->sequence, memory_order_acquire);
        for (size_t i = 0; i < TALLY_WORDS; i++)
            words[i] = atomic_load_explicit(&from->words[i], memory_order_acquire);
        after = atomic_load_explicit(&from->sequence, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    memcpy(&t, words, sizeof t);
    return t;
}

void live_figures(struct live *live, struct live_figures *f)
{
    *f = (struct live_figures){0};
    for (int i = 0; i < live->o.shard_count; i++) {
        struct tally t = tally_read(&live->shards[i]->shared);
        f->subscriptions += t.subscriptions;
        f->cache_hits += t.cache_hits;
        f->cache_misses += t.cache_misses;
        f->published += t.published;
        f->bytes_published += t.bytes_published;
        f->no_memory += t.no_memory;
        live_account_add(&f->account, &t.account);
    }
}
