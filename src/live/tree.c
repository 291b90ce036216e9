/* SPDX-License-Identifier: MIT */
/*
 * The subject tree. A pattern without wildcards is one node, found by its whole subject; patterns
 * with wildcards are a trie of tokens below the root. All nodes stand in one hash table, keyed by
 * parent, kind and name: a subject that one subscription alone listens to costs one node and one
 * slot. A queue group is a node below its pattern.
 *
 * Match: one probe for the whole subject, then a walk over the trie, at most two branches for each
 * token (the token itself and `*`), with a stack as deep as the subject.
 */
#include "live/private.h"

#include "base/check.h"

#include <stdlib.h>

#define SLOTS_LEAST 64

/* ---- the table ---- */

static uint32_t node_hash(const struct live_node *parent, enum node_kind kind, uint32_t name_hash)
{
    if (kind == NODE_LITERAL)
        return name_hash;
    uint64_t h = (uint64_t)(uintptr_t)parent / 16 * 0x9e3779b97f4a7c15u + kind;
    h = (h ^ name_hash) * 0xd6e8feb86659fd93u;
    return (uint32_t)(h >> 32);
}

static struct live_node *table_find(const struct live_tree *t, const struct live_node *parent,
                                    enum node_kind kind, struct bytes name, uint32_t hash)
{
    for (uint32_t i = hash & t->mask; t->slots[i].node != NULL; i = (i + 1) & t->mask) {
        struct live_node *n = t->slots[i].node;
        if (t->slots[i].hash == hash && n->parent == parent && n->kind == kind &&
            n->size == name.size && memcmp(n->name, name.at, name.size) == 0)
            return n;
    }
    return NULL;
}

struct live_node *tree_find(const struct live_tree *t, const struct live_node *parent,
                            enum node_kind kind, struct bytes name, uint32_t name_hash)
{
    return table_find(t, parent, kind, name, node_hash(parent, kind, name_hash));
}

static void slot_put(struct node_slot *slots, uint32_t mask, struct live_node *n, uint32_t hash)
{
    uint32_t i = hash & mask;
    while (slots[i].node != NULL)
        i = (i + 1) & mask;
    slots[i] = (struct node_slot){n, hash};
}

static enum outcome table_resize(struct live_tree *t, uint32_t room)
{
    struct node_slot *slots = calloc(room, sizeof *slots);
    if (slots == NULL)
        return OUT_NO_MEMORY;
    for (uint32_t i = 0; t->slots != NULL && i <= t->mask; i++)
        if (t->slots[i].node != NULL)
            slot_put(slots, room - 1, t->slots[i].node, t->slots[i].hash);
    free(t->slots);
    t->slots = slots;
    t->mask = room - 1;
    return OUT_OK;
}

/* Takes a node out and closes the gap: what was pushed on by others moves back. */
static void table_remove(struct live_tree *t, const struct live_node *n)
{
    uint32_t gap = n->hash & t->mask;
    while (t->slots[gap].node != n)
        gap = (gap + 1) & t->mask;
    for (uint32_t i = (gap + 1) & t->mask; t->slots[i].node != NULL; i = (i + 1) & t->mask) {
        uint32_t home = t->slots[i].hash & t->mask;
        if (((i - home) & t->mask) >= ((i - gap) & t->mask)) {
            t->slots[gap] = t->slots[i];
            gap = i;
        }
    }
    t->slots[gap].node = NULL;
    t->count--;
    if (t->mask >= SLOTS_LEAST && t->count < t->mask / 8) {
        enum outcome ignored = table_resize(t, (t->mask + 1) / 2);
        (void)ignored; /* no memory for a smaller one: the larger one does */
    }
}

/* ---- nodes ---- */

static struct live_node *node_new(const struct bytes name)
{
    struct live_node *n = malloc(sizeof *n + name.size);
    if (n == NULL)
        return NULL;
    *n = (struct live_node){.size = (uint16_t)name.size};
    list_init(&n->subs);
    if (name.size != 0)
        memcpy(n->name, name.at, name.size);
    return n;
}

static void node_link(struct live_tree *t, struct live_node *n)
{
    struct live_node *parent = n->parent;
    if (n->kind == NODE_GROUP) {
        n->groups = parent->groups;
        parent->groups = n;
        n->children = ++t->group_id;
    } else if (parent != NULL) {
        parent->children++;
        parent->has |= n->kind == NODE_STAR ? HAS_STAR : n->kind == NODE_REST ? HAS_REST : 0;
    }
}

static void node_unlink(struct live_node *n)
{
    struct live_node *parent = n->parent;
    if (n->kind == NODE_GROUP) {
        struct live_node **at = &parent->groups;
        while (*at != n)
            at = &(*at)->groups;
        *at = n->groups;
    } else if (parent != NULL) {
        unsigned bit = n->kind == NODE_STAR ? HAS_STAR : n->kind == NODE_REST ? HAS_REST : 0;
        parent->children--;
        parent->has = (uint8_t)(parent->has & ~bit);
    }
}

/* The node of that name below `parent`, made when there is none; NULL: no memory. */
static struct live_node *node_get(struct live_tree *t, struct live_node *parent,
                                  enum node_kind kind, struct bytes name)
{
    uint32_t hash = node_hash(parent, kind, subject_hash(name));
    struct live_node *n = table_find(t, parent, kind, name, hash);
    if (n != NULL)
        return n;
    if (t->count >= t->mask - t->mask / 8 && table_resize(t, (t->mask + 1) * 2) != OUT_OK)
        return NULL;
    n = node_new(name);
    if (n == NULL)
        return NULL;
    n->parent = parent;
    n->hash = hash;
    n->kind = (uint8_t)kind;
    node_link(t, n);
    slot_put(t->slots, t->mask, n, hash);
    t->count++;
    return n;
}

/* Frees the node, and those above it, as far as nobody needs them any more. */
static void node_prune(struct live_tree *t, struct live_node *n)
{
    while (n != NULL && n->kind != NODE_ROOT && list_empty(&n->subs) &&
           (n->kind == NODE_GROUP || (n->children == 0 && n->groups == NULL))) {
        struct live_node *parent = n->parent;
        node_unlink(n);
        table_remove(t, n);
        free(n);
        n = parent;
    }
}

/* ---- changes ---- */

enum outcome tree_init(struct live_tree *t)
{
    pthread_rwlockattr_t how;
    *t = (struct live_tree){.generation = 1};
    t->root = node_new((struct bytes){NULL, 0});
    if (t->root == NULL || table_resize(t, SLOTS_LEAST) != OUT_OK) {
        free(t->root);
        return OUT_NO_MEMORY;
    }
    t->root->kind = NODE_ROOT;
    /* Publishers look all the time; who subscribes must not wait for a moment without them. */
    pthread_rwlockattr_init(&how);
    pthread_rwlockattr_setkind_np(&how, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(&t->lock, &how);
    pthread_rwlockattr_destroy(&how);
    check(failed == 0);
    return OUT_OK;
}

void tree_fini(struct live_tree *t)
{
    check(t->count == 0);
    pthread_rwlock_destroy(&t->lock);
    free(t->root);
    free(t->slots);
}

enum outcome tree_add(struct live_tree *t, struct live_sub *sub, struct bytes pattern,
                      enum live_subject kind, struct bytes queue)
{
    pthread_rwlock_wrlock(&t->lock);
    struct live_node *made = NULL, *n = NULL;
    if (kind == LIVE_LITERAL) {
        n = made = node_get(t, NULL, NODE_LITERAL, pattern);
    } else {
        n = made = t->root;
        while (pattern.at != NULL && made != NULL) {
            struct bytes token = subject_token(&pattern);
            n = made;
            made = node_get(t, n, token_is(token, '*')   ? NODE_STAR
                                  : token_is(token, '>') ? NODE_REST
                                                         : NODE_TOKEN, token);
        }
    }
    if (made != NULL && queue.size != 0) {
        n = made;
        made = node_get(t, n, NODE_GROUP, queue);
    }
    if (made == NULL) {
        node_prune(t, n);
        pthread_rwlock_unlock(&t->lock);
        return fail(OUT_NO_MEMORY, "add a subscription to the subject tree");
    }
    sub->node = made;
    list_push(&made->subs, &sub->in_node);
    atomic_fetch_add_explicit(&t->generation, 1, memory_order_release);
    pthread_rwlock_unlock(&t->lock);
    return OUT_OK;
}

void tree_remove(struct live_tree *t, struct live_sub *sub)
{
    pthread_rwlock_wrlock(&t->lock);
    list_remove(&sub->in_node);
    node_prune(t, sub->node);
    sub->node = NULL;
    atomic_fetch_add_explicit(&t->generation, 1, memory_order_release);
    pthread_rwlock_unlock(&t->lock);
}
