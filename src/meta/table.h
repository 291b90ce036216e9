/* SPDX-License-Identifier: MIT */
/*
 * A hash of pointers to topics (private to meta/): open addressing with linear probing, at most
 * half full. Equal keys may stand side by side; a removal names the pointer. What the key is, the
 * caller knows: a hash function says where a pointer belongs.
 */
#ifndef META_TABLE_H
#define META_TABLE_H

#include "meta/meta.h"

typedef uint64_t table_hash(const void *item);

/* A copy with its own slots. False: out of memory, and `to` is empty. */
MUST bool table_copy(struct meta_table *to, const struct meta_table *from);
void table_fini(struct meta_table *t);

/* Makes room for one more. */
MUST bool table_reserve(struct meta_table *t, table_hash *hash);
void table_insert(struct meta_table *t, table_hash *hash, void *item); /* after table_reserve */
void table_remove(struct meta_table *t, table_hash *hash, const void *item);
void table_replace(struct meta_table *t, table_hash *hash, const void *old, void *item);

/* Walk of everything under one hash: *at begins as `hash`; NULL at the end. */
static inline void *table_next(const struct meta_table *t, uint64_t *at)
{
    return t->slots == NULL ? NULL : t->slots[(*at)++ & t->mask];
}

#endif
