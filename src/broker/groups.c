/* SPDX-License-Identifier: MIT */
/*
 * What groups there are, for people who look: their members, what they have committed and how far
 * behind they are. Asked of each shard in turn by a thread that is none of them; what it gets is a
 * copy. Bounded: so many groups, and of the one that somebody asked for so many offsets; of all
 * others they are only added up, a piece at a time, so that nobody waits for a reactor.
 */
#include "broker/coordinator.h"

#define GROUPS_MAX 1000
#define NAMES_MAX MiB(4)   /* of the groups */
#define OFFSETS_SHOWN 5000
#define PIECE 2000         /* offsets looked at in one turn of a reactor */

struct look {
    struct arena *arena;
    struct bytes only;         /* null: all */
    struct broker_group *groups;
    size_t count;
    struct broker_group *now;  /* the one whose details come */
    struct broker_group_offset *room; /* for its offsets, NULL: they are not told */
    size_t names;              /* bytes of ids taken */
    size_t next;               /* where its offsets go on, 0: that is all */
};

static void take_list(struct look *l, const struct group_reply *r)
{
    for (size_t i = 0; i < r->group_count && l->count < GROUPS_MAX; i++) {
        const struct group_listed *g = &r->groups[i];
        if (l->only.at != NULL && !bytes_equal(l->only, g->group_id))
            continue;
        l->names += g->group_id.size + g->protocol_type.size;
        if (l->names > NAMES_MAX)
            return;
        l->groups[l->count++] = (struct broker_group){
            .id = arena_copy(l->arena, g->group_id), .state = g->state,
            .protocol_type = arena_copy(l->arena, g->protocol_type)};
    }
}

static void take_members(struct look *l, const struct group_described *d)
{
    struct broker_group *g = l->now;
    g->state = d->state;
    g->member_count = d->member_count;
    if (l->only.at == NULL)
        return;
    g->member_count = 0;
    struct broker_group_member *members =
        arena_array(l->arena, struct broker_group_member, d->member_count);
    if (members == NULL)
        return;
    for (size_t i = 0; i < d->member_count; i++)
        members[i] = (struct broker_group_member){
            .member_id = arena_copy(l->arena, d->members[i].member_id),
            .client_id = arena_copy(l->arena, d->members[i].client_id),
            .client_host = arena_copy(l->arena, d->members[i].client_host)};
    g->protocol = arena_copy(l->arena, d->protocol_name);
    g->members = members;
    g->member_count = d->member_count;
}

/* A shard's thread: where the partition ends, -1 when there is none. */
static int64_t end_of(struct bytes topic, int32_t index)
{
    const struct topic *t = view_topic(broker_view(), topic);
    const struct partition *p = t == NULL ? NULL : topic_partition(t, index);
    struct store_stat stat;
    if (p == NULL)
        return -1;
    store_stat(p->store, &stat);
    return stat.high_watermark;
}

static void take_offsets(struct look *l, const struct group_reply *r)
{
    struct broker_group *g = l->now;
    l->next = r->rest;
    for (size_t i = 0; i < r->offset_count; i++) {
        const struct group_offset *o = &r->offsets[i];
        int64_t end = end_of(o->topic, o->partition);
        if (end > o->offset)
            g->lag += end - o->offset;
        g->offset_total++;
        if (l->room == NULL || g->offset_count == OFFSETS_SHOWN)
            continue;
        l->room[g->offset_count++] = (struct broker_group_offset){
            .topic = arena_copy(l->arena, o->topic), .partition = o->partition,
            .committed = o->offset, .end = end};
    }
}

static void take(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct look *l = w->context;
    (void)index;
    if (r->outcome != OUT_OK)
        return;
    if (r->kind == GROUP_LIST)
        take_list(l, r);
    else if (r->kind == GROUP_DESCRIBE)
        take_members(l, &r->described);
    else if (r->kind == GROUP_OFFSET_FETCH)
        take_offsets(l, r);
}

enum outcome broker_groups(struct broker *b, struct bytes only, struct arena *arena,
                           struct broker_group **groups, size_t *count)
{
    struct group_event events[2] = {{.kind = GROUP_LIST}};
    struct look l = {.arena = arena, .only = only};
    struct coordinator_work w = {.events = events, .event_count = 1, .everywhere = true,
                                 .answer = take, .context = &l};
    struct group_places *piece = &events[1].places;
    *count = 0;
    *groups = l.groups = arena_array(arena, struct broker_group, GROUPS_MAX);
    if (l.groups == NULL)
        return OUT_NO_MEMORY;
    coordinator_visit(b, &w);
    for (size_t i = 0; i < l.count && !arena->failed; i++) {
        l.now = &l.groups[i];
        if (only.at != NULL)
            l.now->offsets = l.room = arena_array(arena, struct broker_group_offset,
                                                  OFFSETS_SHOWN);
        events[0] = (struct group_event){.kind = GROUP_DESCRIBE, .group_id = l.now->id};
        events[1] = (struct group_event){.kind = GROUP_OFFSET_FETCH, .group_id = l.now->id,
                                         .places = {.all = true, .most = PIECE}};
        w.events = events;
        w.event_count = 2;
        do {
            l.next = 0;
            coordinator_visit(b, &w);
            piece->from = l.next;
            w.events = &events[1];
            w.event_count = 1;
        } while (l.next > 0 && !arena->failed);
    }
    *count = l.count;
    return arena->failed ? OUT_NO_MEMORY : OUT_OK;
}
