/* SPDX-License-Identifier: MIT */
/*
 * The newest offset of each key of a log's dirty part: SipHash-2-4 of 128 bits with a secret of
 * this pass, linear probing. 24 bytes a slot; the table grows with the keys, up to the limit.
 */
#include "log/compact.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/mman.h>

struct key_slot {
    uint64_t hash[2];
    int64_t place; /* offset + 1 */
};
static_assert(sizeof(struct key_slot) == 24, "as many keys as Kafka in the same memory");

#define ROOM_FIRST 4096
#define DRAIN 4096 /* slots: 24 whole pages */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t sip_end(struct sip *s)
{
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static void hash_key(const struct key_map *m, struct bytes key, uint64_t hash[static 2])
{
    struct sip s = {m->secret[0] ^ 0x736f6d6570736575u, m->secret[1] ^ 0x646f72616e646f6du ^ 0xee,
                    m->secret[0] ^ 0x6c7967656e657261u, m->secret[1] ^ 0x7465646279746573u};
    size_t whole = key.size / 8, left = key.size % 8;
    uint64_t word;
    for (size_t i = 0; i < whole; i++) {
        memcpy(&word, key.at + 8 * i, 8);
        sip_word(&s, word);
    }
    word = 0;
    if (left > 0)
        memcpy(&word, key.at + 8 * whole, left);
    sip_word(&s, word | (uint64_t)key.size << 56);
    s.v2 ^= 0xee;
    hash[0] = sip_end(&s);
    s.v1 ^= 0xdd;
    hash[1] = sip_end(&s);
}

static struct key_slot *map_slots(size_t room)
{
    void *at = mmap(NULL, room * sizeof(struct key_slot), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

enum outcome key_map_init(struct key_map *m, uint64_t wanted, size_t bytes, double load)
{
    if (!(load > 0.1))
        load = 0.1;
    load = MIN(load, 0.95);
    *m = (struct key_map){.latest_offset = -1, .load = load};
    m->most = MAX(bytes / sizeof(struct key_slot), 16);
    double slots = (double)wanted / load + 16;
    if (slots < (double)m->most)
        m->most = (size_t)slots;
    m->room = MIN(m->most, ROOM_FIRST);
    m->limit = MAX((size_t)((double)m->room * load), 1);
    struct uuid random = uuid_random();
    memcpy(m->secret, random.b, sizeof m->secret);
    m->slots = map_slots(m->room);
    return m->slots != NULL ? OUT_OK
                            : fail(OUT_NO_MEMORY, "compaction: %zu slots for keys", m->room);
}

void key_map_fini(struct key_map *m)
{
    if (m->slots != NULL)
        munmap(m->slots, m->room * sizeof(struct key_slot));
    m->slots = NULL;
}

/* The slot of the hash, or the free one where it belongs. */
static struct key_slot *find(const struct key_map *m, const uint64_t hash[static 2])
{
    size_t i = (size_t)((unsigned __int128)hash[0] * m->room >> 64);
    for (;;) {
        struct key_slot *s = &m->slots[i];
        if (s->place == 0 || (s->hash[0] == hash[0] && s->hash[1] == hash[1]))
            return s;
        i = i + 1 == m->room ? 0 : i + 1;
    }
}

/* Slots stand in the order of their hashes, so the new table fills from its beginning as the old
 * one drains, whose memory is given back on the way: never more than the new one's in all. */
static bool grow(struct key_map *m)
{
    struct key_map old = *m;
    m->room = MIN(m->most, old.room * 2);
    m->slots = map_slots(m->room);
    if (m->slots == NULL) {
        *m = old;
        return false;
    }
    m->limit = (size_t)((double)m->room * m->load);
    for (size_t i = 0; i < old.room; i++) {
        const struct key_slot *s = &old.slots[i];
        if (s->place != 0)
            *find(m, s->hash) = *s;
        if ((i + 1) % DRAIN == 0)
            madvise(&old.slots[i + 1 - DRAIN], DRAIN * sizeof(struct key_slot), MADV_DONTNEED);
    }
    key_map_fini(&old);
    return true;
}

bool key_map_put(struct key_map *m, struct bytes key, int64_t offset)
{
    uint64_t hash[2];
    hash_key(m, key, hash);
    struct key_slot *s = find(m, hash);
    if (s->place == 0) {
        if (m->count >= m->limit) {
            if (m->room == m->most || !grow(m))
                return false;
            s = find(m, hash);
        }
        m->count++;
        memcpy(s->hash, hash, sizeof hash);
    }
    s->place = offset + 1;
    m->latest_offset = offset;
    return true;
}

int64_t key_map_get(const struct key_map *m, struct bytes key)
{
    uint64_t hash[2];
    hash_key(m, key, hash);
    return find(m, hash)->place - 1;
}
