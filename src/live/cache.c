/* SPDX-License-Identifier: MIT */
/*
 * One shard's recent look-ups: sets of four by the subject's hash. A hit reads the shard's own
 * memory only. An entry is true of one generation of the tree; its memory is used again for the
 * next look-up that takes its place. All entries together are bounded: past that they are dropped.
 */
#include "live/private.h"

#include <stdlib.h>

const struct match *cache_find(struct cache *c, struct bytes subject, uint32_t hash,
                               uint64_t generation)
{
    uint32_t set = hash % CACHE_SETS;
    for (uint32_t way = 0; way < CACHE_WAYS; way++) {
        if (c->tags[set][way] != hash)
            continue;
        const struct cache_entry *e = &c->entries[set][way];
        if (e->generation == generation && e->subject_size == subject.size &&
            memcmp(e->memory, subject.at, subject.size) == 0)
            return &e->m;
    }
    return NULL;
}

void cache_fini(struct cache *c)
{
    for (uint32_t set = 0; set < CACHE_SETS; set++) {
        for (uint32_t way = 0; way < CACHE_WAYS; way++) {
            free(c->entries[set][way].memory);
            c->entries[set][way] = (struct cache_entry){0};
        }
    }
    c->bytes = 0;
}

static struct cache_entry *victim(struct cache *c, uint32_t set, uint64_t generation)
{
    for (uint32_t way = 0; way < CACHE_WAYS; way++)
        if (c->entries[set][way].generation != generation)
            return &c->entries[set][way];
    return &c->entries[set][c->turn++ % CACHE_WAYS];
}

const struct match *cache_keep(struct cache *c, struct bytes subject, uint32_t hash,
                               uint64_t generation, const struct match *m)
{
    uint32_t set = hash % CACHE_SETS;
    size_t owns = m->own_count * sizeof *m->own, groups = m->group_count * sizeof *m->groups;
    size_t members = m->member_count * sizeof *m->members;
    size_t names = (subject.size + 7) / 8 * 8;
    size_t size = names + owns + groups + members;
    struct cache_entry *e = victim(c, set, generation);
    e->generation = 0;
    e->serial = ++c->serial;
    if (e->room < size) {
        size_t room = MAX(2 * e->room, (size + 63) / 64 * 64);
        if (c->bytes - e->room + room > CACHE_BYTES_MAX)
            cache_fini(c);
        uint8_t *memory = realloc(e->memory, room);
        if (memory == NULL)
            return NULL;
        c->bytes += room - e->room;
        e->memory = memory;
        e->room = room;
    }
    e->m = *m;
    e->m.own = (struct sub_name *)(void *)(e->memory + names);
    e->m.groups = (struct group_match *)(void *)(e->memory + names + owns);
    e->m.members = (struct group_member *)(void *)(e->memory + names + owns + groups);
    memcpy(e->memory, subject.at, subject.size);
    if (owns != 0)
        memcpy(e->m.own, m->own, owns);
    if (groups != 0)
        memcpy(e->m.groups, m->groups, groups);
    if (members != 0)
        memcpy(e->m.members, m->members, members);
    e->generation = generation;
    e->subject_size = (uint32_t)subject.size;
    c->tags[set][e - c->entries[set]] = hash;
    return &e->m;
}
