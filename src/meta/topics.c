/* SPDX-License-Identifier: MIT */
/*
 * Topics of an image and the records that change them.
 *
 * Images share topics by reference count. A draft copies the array of a topic's partitions once,
 * the first time it changes it, and then changes it in place: 10,000 changes of one topic are one
 * copy. Placements are shared as well: on one node all partitions live at the same place.
 */
#include "meta/image.h"

#include "base/check.h"
#include "meta/table.h"
#include "wire/messages.h"

#include <stdlib.h>

#define INSERTED_MAX 64 /* above it, sorting once is cheaper than moving each time */
#define LEADER_UNCHANGED (-2)

/* ---- placements ---- */

static struct meta_placement *placement_hold(struct meta_placement *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->holds, 1, memory_order_relaxed);
    return p;
}

static void placement_drop(struct meta_placement *p)
{
    if (p != NULL && atomic_fetch_sub_explicit(&p->holds, 1, memory_order_acq_rel) == 1)
        free(p);
}

static int32_t *ids_copy(int32_t **at, const int32_t *ids, int32_t count)
{
    int32_t *copy = *at;
    if (count > 0)
        memcpy(copy, ids, (size_t)count * sizeof *ids);
    *at += count;
    return copy;
}

/* The lists of `like` in memory of their own. */
static struct meta_placement *placement_new(const struct meta_placement *like)
{
    size_t ids = (size_t)like->replica_count + (size_t)like->isr_count +
                 (size_t)like->removing_count + (size_t)like->adding_count +
                 (size_t)like->elr_count + (size_t)like->last_elr_count;
    size_t directories = (size_t)like->directory_count * sizeof(struct uuid);
    struct meta_placement *p = malloc(sizeof *p + directories + ids * sizeof(int32_t));
    if (p == NULL)
        return NULL;
    *p = *like;
    atomic_init(&p->holds, 1);
    p->directories = (const struct uuid *)(p + 1);
    if (directories > 0)
        memcpy(p + 1, like->directories, directories);
    int32_t *at = (int32_t *)(void *)((uint8_t *)(p + 1) + directories);
    p->replicas = ids_copy(&at, like->replicas, like->replica_count);
    p->isr = ids_copy(&at, like->isr, like->isr_count);
    p->removing = ids_copy(&at, like->removing, like->removing_count);
    p->adding = ids_copy(&at, like->adding, like->adding_count);
    p->elr = ids_copy(&at, like->elr, like->elr_count);
    p->last_elr = ids_copy(&at, like->last_elr, like->last_elr_count);
    return p;
}

static bool same_ids(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, (size_t)a_count * sizeof *a) == 0);
}

static bool placement_equal(const struct meta_placement *a, const struct meta_placement *b)
{
    return same_ids(a->replicas, a->replica_count, b->replicas, b->replica_count) &&
           same_ids(a->isr, a->isr_count, b->isr, b->isr_count) &&
           same_ids(a->removing, a->removing_count, b->removing, b->removing_count) &&
           same_ids(a->adding, a->adding_count, b->adding, b->adding_count) &&
           same_ids(a->elr, a->elr_count, b->elr, b->elr_count) &&
           same_ids(a->last_elr, a->last_elr_count, b->last_elr, b->last_elr_count) &&
           a->directory_count == b->directory_count &&
           (a->directory_count == 0 ||
            memcmp(a->directories, b->directories,
                   (size_t)a->directory_count * sizeof(struct uuid)) == 0);
}

/* One like that, new or the one of the partition that was placed last. Held for the caller. */
static struct meta_placement *placement_of(struct meta_image *d, const struct meta_placement *like)
{
    if (d->recent != NULL && placement_equal(d->recent, like))
        return placement_hold(d->recent);
    struct meta_placement *p = placement_new(like);
    if (p == NULL)
        return NULL;
    placement_drop(d->recent);
    d->recent = placement_hold(p);
    return p;
}

/* ---- topics ---- */

static uint64_t name_hash(const void *item)
{
    return bytes_hash(((const struct meta_topic *)item)->name);
}

/* Ids are random; but a directory may be made by someone: hash them like any key. */
static uint64_t uuid_hash(const struct uuid *id)
{
    return bytes_hash(bytes_view(id->b, sizeof id->b));
}

static uint64_t id_hash(const void *item)
{
    return uuid_hash(&((const struct meta_topic *)item)->id);
}

static uint64_t folded_hash(struct bytes name)
{
    uint8_t folded[256];
    size_t size = MIN(name.size, sizeof folded);
    for (size_t i = 0; i < size; i++)
        folded[i] = name.at[i] == '.' ? '_' : name.at[i];
    return bytes_hash(bytes_view(folded, size));
}

static uint64_t folded_name_hash(const void *item)
{
    return folded_hash(((const struct meta_topic *)item)->name);
}

static bool foldable(struct bytes name)
{
    return memchr(name.at, '.', name.size) != NULL || memchr(name.at, '_', name.size) != NULL;
}

static bool folded_equal(struct bytes a, struct bytes b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a.at[i] == '.' ? '_' : a.at[i], y = b.at[i] == '.' ? '_' : b.at[i];
        if (x != y)
            return false;
    }
    return true;
}

static struct meta_topic *find_by_name(const struct meta_image *i, struct bytes name)
{
    uint64_t at = bytes_hash(name);
    struct meta_topic *t;
    while ((t = table_next(&i->by_name, &at)) != NULL && !bytes_equal(t->name, name))
        continue;
    return t;
}

static struct meta_topic *find_by_id(const struct meta_image *i, const struct uuid *id)
{
    uint64_t at = uuid_hash(id);
    struct meta_topic *t;
    while ((t = table_next(&i->by_id, &at)) != NULL && !uuid_equal(&t->id, id))
        continue;
    return t;
}

const struct meta_topic *meta_topic(const struct meta_image *i, struct bytes name)
{
    return find_by_name(i, name);
}

const struct meta_topic *meta_topic_by_id(const struct meta_image *i, const struct uuid *id)
{
    return find_by_id(i, id);
}

const struct meta_topic *topic_colliding(const struct meta_image *i, struct bytes name)
{
    if (!foldable(name))
        return NULL;
    uint64_t at = folded_hash(name);
    struct meta_topic *t;
    while ((t = table_next(&i->by_folded_name, &at)) != NULL) {
        if (folded_equal(t->name, name) && !bytes_equal(t->name, name))
            return t;
    }
    return NULL;
}

static struct meta_topic *topic_new(const struct meta_image *d, struct bytes name,
                                    const struct uuid *id, int32_t room)
{
    struct meta_topic *t = malloc(sizeof *t + name.size + 1);
    struct meta_partition *partitions = malloc(((size_t)room + 1) * sizeof *partitions);
    if (t == NULL || partitions == NULL) {
        free(t);
        free(partitions);
        return NULL;
    }
    uint8_t *text = (uint8_t *)(t + 1);
    memcpy(text, name.at, name.size);
    *t = (struct meta_topic){.name = bytes_view(text, name.size), .id = *id, .room = room,
                             .partitions = partitions, .maker = d->serial};
    atomic_init(&t->holds, 1);
    return t;
}

void topic_drop(struct meta_topic *t)
{
    if (atomic_fetch_sub_explicit(&t->holds, 1, memory_order_acq_rel) != 1)
        return;
    for (int32_t i = 0; i < t->partition_count; i++)
        placement_drop(t->partitions[i].placement);
    free(t->partitions);
    free(t);
}

/* Where a name is or would be in the array, which must not be stale. */
static size_t place_of(const struct meta_image *i, struct bytes name)
{
    size_t low = 0, high = i->topic_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(i->topics[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The same topic as one that the draft may change; NULL: out of memory. */
static struct meta_topic *topic_own(struct meta_image *d, struct meta_topic *old)
{
    if (old->maker == d->serial)
        return old;
    struct meta_topic *t = topic_new(d, old->name, &old->id, old->partition_count);
    if (t == NULL)
        return NULL;
    t->partition_count = old->partition_count;
    for (int32_t i = 0; i < old->partition_count; i++) {
        t->partitions[i] = old->partitions[i];
        placement_hold(t->partitions[i].placement);
    }
    table_replace(&d->by_name, name_hash, old, t);
    table_replace(&d->by_id, id_hash, old, t);
    if (foldable(t->name))
        table_replace(&d->by_folded_name, folded_name_hash, old, t);
    if (!d->stale)
        d->topics[place_of(d, t->name)] = t;
    topic_drop(old);
    return t;
}

static bool topic_reserve(struct meta_topic *t, int32_t wanted)
{
    if (wanted > t->room) {
        int32_t room = MAX(wanted, t->room + t->room / 2);
        struct meta_partition *p = realloc(t->partitions, (size_t)room * sizeof *p);
        if (p == NULL)
            return false;
        t->partitions = p;
        t->room = room;
    }
    for (; t->partition_count < wanted; t->partition_count++)
        t->partitions[t->partition_count] = (struct meta_partition){.leader = -1};
    return true;
}

/* ---- the whole set ---- */

void topics_fini(struct meta_image *i)
{
    size_t slots = i->by_name.slots == NULL ? 0 : i->by_name.mask + 1;
    for (size_t k = 0; k < slots; k++) {
        if (i->by_name.slots[k] != NULL)
            topic_drop(i->by_name.slots[k]);
    }
    table_fini(&i->by_name);
    table_fini(&i->by_id);
    table_fini(&i->by_folded_name);
    placement_drop(i->recent);
    i->recent = NULL;
    free(i->topics);
    i->topics = NULL;
    i->topic_count = 0;
}

bool topics_share(struct meta_image *d, const struct meta_image *from)
{
    d->topics = malloc((from->topic_count + INSERTED_MAX) * sizeof(struct meta_topic *));
    if (d->topics == NULL || !table_copy(&d->by_id, &from->by_id) ||
        !table_copy(&d->by_folded_name, &from->by_folded_name) ||
        !table_copy(&d->by_name, &from->by_name))
        return false; /* by_name, which owns, comes last */
    d->topic_count = from->topic_count;
    for (size_t i = 0; i < from->topic_count; i++) {
        d->topics[i] = from->topics[i];
        atomic_fetch_add_explicit(&d->topics[i]->holds, 1, memory_order_relaxed);
    }
    d->recent = placement_hold(from->recent);
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct meta_topic *const *x = a, *const *y = b;
    return bytes_compare((*x)->name, (*y)->name);
}

enum outcome topics_finish(struct meta_image *d)
{
    if (!d->stale)
        return OUT_OK;
    size_t count = 0;
    struct meta_topic **topics = malloc((d->by_name.count + 1) * sizeof *topics);
    if (topics == NULL)
        return fail(OUT_NO_MEMORY, "sort %zu topics", d->by_name.count);
    for (size_t i = 0; i <= d->by_name.mask; i++) {
        if (d->by_name.slots[i] != NULL)
            topics[count++] = d->by_name.slots[i];
    }
    check(count == d->by_name.count);
    qsort(topics, count, sizeof *topics, by_name);
    free(d->topics);
    d->topics = topics;
    d->topic_count = count;
    d->stale = false;
    return OUT_OK;
}

/* ---- records ---- */

enum outcome apply_topic(struct meta_image *d, const struct topic_record *r)
{
    if (!meta_topic_name_valid(r->name) || uuid_is_zero(&r->topic_id))
        return fail(OUT_CORRUPT, "the metadata creates a topic without a valid name or id");
    if (find_by_name(d, r->name) != NULL || find_by_id(d, &r->topic_id) != NULL)
        return fail(OUT_CORRUPT, "the metadata creates topic %.*s twice", (int)r->name.size,
                    (const char *)r->name.at);
    struct meta_topic *t = NULL;
    if (table_reserve(&d->by_name, name_hash) && table_reserve(&d->by_id, id_hash) &&
        table_reserve(&d->by_folded_name, folded_name_hash))
        t = topic_new(d, r->name, &r->topic_id, 1);
    if (t == NULL)
        return fail(OUT_NO_MEMORY, "add a topic to the metadata");
    table_insert(&d->by_name, name_hash, t);
    table_insert(&d->by_id, id_hash, t);
    if (foldable(t->name))
        table_insert(&d->by_folded_name, folded_name_hash, t);
    if (d->stale || d->inserted == INSERTED_MAX) {
        d->stale = true;
        return OUT_OK;
    }
    size_t at = place_of(d, t->name);
    memmove(&d->topics[at + 1], &d->topics[at], (d->topic_count - at) * sizeof *d->topics);
    d->topics[at] = t;
    d->topic_count++;
    d->inserted++;
    return OUT_OK;
}

enum outcome apply_remove_topic(struct meta_image *d, const struct remove_topic_record *r)
{
    struct meta_topic *t = find_by_id(d, &r->topic_id);
    if (t == NULL)
        return OUT_OK;
    configs_forget_topic(d, t->name);
    table_remove(&d->by_name, name_hash, t);
    table_remove(&d->by_id, id_hash, t);
    if (foldable(t->name))
        table_remove(&d->by_folded_name, folded_name_hash, t);
    if (!d->stale) {
        size_t at = place_of(d, t->name);
        check(d->topics[at] == t);
        d->topic_count--;
        memmove(&d->topics[at], &d->topics[at + 1], (d->topic_count - at) * sizeof *d->topics);
    }
    topic_drop(t);
    return OUT_OK;
}

enum outcome apply_partition(struct meta_image *d, const struct partition_record *r)
{
    struct meta_topic *t = find_by_id(d, &r->topic_id);
    if (t == NULL || r->partition_id < 0 || r->partition_id >= META_PARTITIONS_MAX)
        return fail(OUT_CORRUPT, "the metadata has a partition of an unknown topic");
    struct meta_placement like = {
        .replicas = r->replicas, .replica_count = MAX(r->replicas_count, 0),
        .isr = r->isr, .isr_count = MAX(r->isr_count, 0),
        .removing = r->removing_replicas, .removing_count = MAX(r->removing_replicas_count, 0),
        .adding = r->adding_replicas, .adding_count = MAX(r->adding_replicas_count, 0),
        .elr = r->eligible_leader_replicas, .elr_count = MAX(r->eligible_leader_replicas_count, 0),
        .last_elr = r->last_known_elr, .last_elr_count = MAX(r->last_known_elr_count, 0),
        .directories = r->directories, .directory_count = MAX(r->directories_count, 0)};
    struct meta_placement *placement = placement_of(d, &like);
    t = topic_own(d, t);
    if (placement == NULL || t == NULL || !topic_reserve(t, r->partition_id + 1)) {
        placement_drop(placement);
        return fail(OUT_NO_MEMORY, "add a partition to the metadata");
    }
    struct meta_partition *p = &t->partitions[r->partition_id];
    placement_drop(p->placement);
    *p = (struct meta_partition){.leader = r->leader, .leader_epoch = r->leader_epoch,
                                 .partition_epoch = r->partition_epoch,
                                 .recovery_state = r->leader_recovery_state,
                                 .placement = placement};
    return OUT_OK;
}

/* What a change leaves of a placement; lists that are null in the record stay. */
static struct meta_placement changed(const struct meta_placement *old,
                                     const struct partition_change_record *r)
{
    struct meta_placement like = *old;
    if (r->replicas_count >= 0) {
        like.replicas = r->replicas;
        like.replica_count = r->replicas_count;
    }
    if (r->isr_count >= 0) {
        like.isr = r->isr;
        like.isr_count = r->isr_count;
    }
    if (r->removing_replicas_count >= 0) {
        like.removing = r->removing_replicas;
        like.removing_count = r->removing_replicas_count;
    }
    if (r->adding_replicas_count >= 0) {
        like.adding = r->adding_replicas;
        like.adding_count = r->adding_replicas_count;
    }
    if (r->eligible_leader_replicas_count >= 0) {
        like.elr = r->eligible_leader_replicas;
        like.elr_count = r->eligible_leader_replicas_count;
    }
    if (r->last_known_elr_count >= 0) {
        like.last_elr = r->last_known_elr;
        like.last_elr_count = r->last_known_elr_count;
    }
    if (r->directories_count >= 0) {
        like.directories = r->directories;
        like.directory_count = r->directories_count;
    }
    return like;
}

enum outcome apply_partition_change(struct meta_image *d, const struct partition_change_record *r)
{
    struct meta_topic *t = find_by_id(d, &r->topic_id);
    if (t == NULL)
        return OUT_OK; /* of a topic that is gone */
    if (r->partition_id < 0 || r->partition_id >= t->partition_count ||
        t->partitions[r->partition_id].placement == NULL)
        return fail(OUT_CORRUPT, "the metadata changes partition %d of %.*s, which is not there",
                    r->partition_id, (int)t->name.size, (const char *)t->name.at);
    t = topic_own(d, t);
    if (t == NULL)
        return fail(OUT_NO_MEMORY, "change a partition in the metadata");
    struct meta_partition *p = &t->partitions[r->partition_id];
    struct meta_placement like = changed(p->placement, r);
    if (!placement_equal(&like, p->placement)) {
        struct meta_placement *placement = placement_of(d, &like);
        if (placement == NULL)
            return fail(OUT_NO_MEMORY, "change a partition in the metadata");
        placement_drop(p->placement);
        p->placement = placement;
    }
    p->partition_epoch++;
    if (r->leader_recovery_state >= 0)
        p->recovery_state = r->leader_recovery_state;
    if (r->leader != LEADER_UNCHANGED) {
        p->leader = r->leader;
        p->leader_epoch++;
    }
    return OUT_OK;
}

static enum outcome clear_elr(struct meta_image *d, struct meta_topic *t)
{
    for (int32_t i = 0; i < t->partition_count; i++) {
        const struct meta_placement *old = t->partitions[i].placement;
        if (old == NULL || (old->elr_count == 0 && old->last_elr_count == 0))
            continue;
        struct partition_change_record r;
        wire_defaults(&wire_partition_change_record, &r);
        r.topic_id = t->id;
        r.partition_id = i;
        r.eligible_leader_replicas_count = r.last_known_elr_count = 0;
        enum outcome o = apply_partition_change(d, &r);
        if (o != OUT_OK)
            return o;
        t = find_by_id(d, &r.topic_id); /* the draft's own by now */
    }
    return OUT_OK;
}

/* An empty name means all topics. */
enum outcome apply_clear_elr(struct meta_image *d, const struct clear_elr_record *r)
{
    if (r->topic_name.size > 0) {
        struct meta_topic *t = find_by_name(d, r->topic_name);
        return t == NULL ? OUT_OK : clear_elr(d, t);
    }
    size_t slots = d->by_name.slots == NULL ? 0 : d->by_name.mask + 1;
    for (size_t i = 0; i < slots; i++) {
        enum outcome o = d->by_name.slots[i] == NULL ? OUT_OK : clear_elr(d, d->by_name.slots[i]);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}
