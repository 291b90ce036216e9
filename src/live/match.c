/* SPDX-License-Identifier: MIT */
/*
 * Looking a subject up in the tree, under its lock for reading, into a scratch that grows: the cold
 * half of a publication. Arrays keep their size, so that look-ups soon allocate nothing.
 */
#include "live/private.h"

#include <stdlib.h>

void scratch_fini(struct scratch *x)
{
    free(x->m.own);
    free(x->m.groups);
    free(x->m.members);
    *x = (struct scratch){0};
}

/* Room for one more of an array; false: no memory, and the scratch is marked. */
static bool grow(struct scratch *x, void **array, uint32_t *room, uint32_t count, size_t size)
{
    if (count < *room)
        return true;
    uint32_t more = *room == 0 ? 64 : *room * 2;
    void *larger = realloc(*array, more * size);
    if (larger == NULL) {
        x->failed = true;
        return false;
    }
    *array = larger;
    *room = more;
    return true;
}

static void take_group(struct live_node *group, struct scratch *x)
{
    struct match *m = &x->m;
    void *groups = m->groups;
    bool good = grow(x, &groups, &x->group_room, m->group_count, sizeof *m->groups);
    m->groups = groups;
    if (!good)
        return;
    struct group_match *g = &m->groups[m->group_count++];
    *g = (struct group_match){.id = group->children, .first = m->member_count};
    list_each(node, &group->subs) {
        const struct live_sub *sub = container_of(node, struct live_sub, in_node);
        void *members = m->members;
        good = grow(x, &members, &x->member_room, m->member_count, sizeof *m->members);
        m->members = members;
        if (!good)
            break;
        m->members[m->member_count++] =
            (struct group_member){(uint16_t)sub->shard->index, sub->overflow == LIVE_BLOCK,
                                  {sub->index, sub->serial}};
        g->count++;
    }
}

static void take_node(struct live_node *n, const struct live_shard *shard, struct scratch *x)
{
    struct match *m = &x->m;
    list_each(node, &n->subs) {
        const struct live_sub *sub = container_of(node, struct live_sub, in_node);
        if (sub->shard != shard) {
            uint64_t bit = (uint64_t)1 << sub->shard->index;
            m->others |= bit;
            m->blockers |= sub->overflow == LIVE_BLOCK ? bit : 0;
            continue;
        }
        void *own = m->own;
        bool good = grow(x, &own, &x->own_room, m->own_count, sizeof *m->own);
        m->own = own;
        if (good)
            m->own[m->own_count++] = (struct sub_name){sub->index, sub->serial};
    }
    for (struct live_node *g = n->groups; g != NULL; g = g->groups)
        take_group(g, x);
}

/* A node of the trie, and what of the subject is to be found below it. */
struct branch {
    struct live_node *node;
    struct bytes rest;
};

#define BRANCHES_MAX (LIVE_SUBJECT_MAX / 2 + 2)

/* Depth first; each step takes one branch and leaves at most two, one token shorter: there are
 * never more than the subject has tokens, and one. */
static void walk(const struct live_tree *t, struct bytes subject, const struct live_shard *shard,
                 struct scratch *x)
{
    struct branch stack[BRANCHES_MAX];
    struct bytes star = bytes_of("*"), rest = bytes_of(">");
    uint32_t star_hash = subject_hash(star), rest_hash = subject_hash(rest);
    size_t depth = 0;
    stack[depth++] = (struct branch){t->root, subject};
    while (depth > 0) {
        struct branch b = stack[--depth];
        struct bytes token = subject_token(&b.rest);
        unsigned has = b.node->has;
        unsigned special = (has & HAS_STAR ? 1 : 0) + (has & HAS_REST ? 1 : 0);
        struct live_node *below[2] = {NULL, NULL};
        if (has & HAS_REST)
            take_node(tree_find(t, b.node, NODE_REST, rest, rest_hash), shard, x);
        if (has & HAS_STAR)
            below[0] = tree_find(t, b.node, NODE_STAR, star, star_hash);
        if (b.node->children > special)
            below[1] = tree_find(t, b.node, NODE_TOKEN, token, subject_hash(token));
        for (int i = 0; i < 2; i++) {
            if (below[i] != NULL && b.rest.at == NULL)
                take_node(below[i], shard, x);
            else if (below[i] != NULL)
                stack[depth++] = (struct branch){below[i], b.rest};
        }
    }
}

/* Publishers may name such a subject; nothing is subscribed to it, and no wildcard is for it. */
static bool has_empty_token(struct bytes subject)
{
    while (subject.at != NULL)
        if (subject_token(&subject).size == 0)
            return true;
    return false;
}

uint64_t tree_match(struct live_tree *t, struct bytes subject, uint32_t hash,
                    const struct live_shard *shard, struct scratch *x)
{
    x->m.own_count = x->m.group_count = x->m.member_count = 0;
    x->m.others = x->m.blockers = 0;
    x->failed = false;
    pthread_rwlock_rdlock(&t->lock);
    uint64_t generation = atomic_load_explicit(&t->generation, memory_order_relaxed);
    struct live_node *literal = tree_find(t, NULL, NODE_LITERAL, subject, hash);
    if (literal != NULL)
        take_node(literal, shard, x);
    if (t->root->children != 0 && subject.size <= LIVE_SUBJECT_MAX &&
        !has_empty_token(subject))
        walk(t, subject, shard, x);
    pthread_rwlock_unlock(&t->lock);
    return generation;
}
