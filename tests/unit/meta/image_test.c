/* SPDX-License-Identifier: MIT */
/*
 * Images against a naive model: random records are applied to both, and after each change
 * everything that an image answers must be what the model says; older images must not have changed.
 */
#include "helper.h"

#define NAMES 40
#define PARTITIONS 6
#define KEYS 4
#define OLD 5

static uint64_t state = 88172645463325252u;

static uint64_t below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

struct model_partition {
    int32_t leader, leader_epoch, partition_epoch, isr[3], isr_count;
};

struct model_topic {
    bool there;
    struct uuid id;
    int32_t partition_count;
    struct model_partition partitions[PARTITIONS];
    int32_t keys[KEYS]; /* value, -1: not set */
};

struct model {
    struct model_topic topics[NAMES];
    int64_t next_producer_id;
};

static struct model model;

/* Names that share folded forms ("t.1-" and "t_1-") and hash apart. */
static struct bytes name_of(size_t i)
{
    static char names[NAMES][32];
    snprintf(names[i], sizeof names[i], i % 2 ? "t.%zu-" : "t_%zu-", i / 2);
    return bytes_of(names[i]);
}

static struct bytes key_of(size_t i)
{
    static const char *const keys[KEYS] = {"retention.ms", "cleanup.policy", "a", "zz"};
    return bytes_of(keys[i]);
}

/* ---- changing both ---- */

static void make_topic(size_t i, struct meta_change *change)
{
    struct model_topic *t = &model.topics[i];
    struct topic_record r;
    if (t->there)
        return;
    *t = (struct model_topic){.there = true, .id = uuid_random(), .keys = {-1, -1, -1, -1}};
    wire_defaults(&wire_topic_record, &r);
    r.name = name_of(i);
    r.topic_id = t->id;
    expect_eq(meta_change_add(change, &wire_topic_record, 0, &r), OUT_OK);
}

static void delete_topic(size_t i, struct meta_change *change)
{
    struct model_topic *t = &model.topics[i];
    struct remove_topic_record r;
    if (!t->there)
        return;
    t->there = false;
    wire_defaults(&wire_remove_topic_record, &r);
    r.topic_id = t->id;
    expect_eq(meta_change_add(change, &wire_remove_topic_record, 0, &r), OUT_OK);
}

static void make_partition(size_t i, struct meta_change *change)
{
    struct model_topic *t = &model.topics[i];
    struct partition_record r;
    if (!t->there || t->partition_count == PARTITIONS)
        return;
    struct model_partition *p = &t->partitions[t->partition_count];
    *p = (struct model_partition){.leader = 1, .isr = {1}, .isr_count = 1};
    wire_defaults(&wire_partition_record, &r);
    r.partition_id = t->partition_count++;
    r.topic_id = t->id;
    r.leader = 1;
    r.leader_epoch = r.partition_epoch = 0;
    r.isr = r.replicas = p->isr;
    r.isr_count = r.replicas_count = 1;
    expect_eq(meta_change_add(change, &wire_partition_record, 2, &r), OUT_OK);
}

static void change_partition(size_t i, struct meta_change *change)
{
    struct model_topic *t = &model.topics[i];
    struct partition_change_record r;
    if (!t->there || t->partition_count == 0)
        return;
    size_t index = below((uint64_t)t->partition_count);
    struct model_partition *p = &t->partitions[index];
    wire_defaults(&wire_partition_change_record, &r);
    r.partition_id = (int32_t)index;
    r.topic_id = t->id;
    p->partition_epoch++;
    if (below(2)) {
        r.leader = p->leader = (int32_t)below(3);
        p->leader_epoch++;
    }
    if (below(2)) {
        p->isr_count = (int32_t)below(4);
        for (int32_t k = 0; k < p->isr_count; k++)
            p->isr[k] = (int32_t)below(5);
        r.isr = p->isr;
        r.isr_count = p->isr_count;
    }
    expect_eq(meta_change_add(change, &wire_partition_change_record, 2, &r), OUT_OK);
}

static void set_key(size_t i, struct meta_change *change)
{
    struct model_topic *t = &model.topics[i];
    char text[16];
    if (!t->there)
        return;
    size_t key = below(KEYS);
    t->keys[key] = below(3) ? (int32_t)below(1000) : -1;
    snprintf(text, sizeof text, "%d", t->keys[key]);
    expect_eq(meta_plan_config(2, name_of(i), key_of(key),
                               bytes_of(t->keys[key] < 0 ? NULL : text), change), OUT_OK);
}

static void random_change(struct meta_change *change)
{
    size_t i = below(NAMES);
    switch (below(8)) {
    case 0: make_topic(i, change); break;
    case 1:
        if (below(3) == 0)
            delete_topic(i, change);
        break;
    case 2:
    case 3: make_partition(i, change); break;
    case 4:
    case 5: change_partition(i, change); break;
    default: set_key(i, change); break;
    }
}

/* ---- comparing ---- */

static void compare_partitions(const struct meta_topic *t, const struct model_topic *want)
{
    expect_eq(t->partition_count, want->partition_count);
    for (int32_t p = 0; p < t->partition_count; p++) {
        const struct meta_partition *it = &t->partitions[p];
        const struct model_partition *w = &want->partitions[p];
        expect_eq(it->leader, w->leader);
        expect_eq(it->leader_epoch, w->leader_epoch);
        expect_eq(it->partition_epoch, w->partition_epoch);
        expect_eq(it->placement->isr_count, w->isr_count);
        for (int32_t k = 0; k < w->isr_count; k++)
            expect_eq(it->placement->isr[k], w->isr[k]);
        expect_eq(it->placement->replica_count, 1);
    }
}

static void compare_keys(const struct meta_image *i, size_t topic, const struct model_topic *want)
{
    const struct meta_configs *c = meta_configs(i, 2, name_of(topic));
    size_t expected = 0, count = c == NULL ? 0 : c->count;
    for (size_t k = 0; k < KEYS && want->there; k++)
        expected += want->keys[k] >= 0;
    expect_eq(count, expected);
    for (size_t k = 0; k < count; k++) {
        size_t key = 0;
        while (!bytes_equal(key_of(key), c->pairs[k].name))
            expect(++key < KEYS);
        expect_eq(strtol((const char *)c->pairs[k].value.at, NULL, 10), want->keys[key]);
        expect(k == 0 || bytes_compare(c->pairs[k - 1].name, c->pairs[k].name) < 0);
    }
}

static void compare(const struct meta_image *i, const struct model *want)
{
    size_t there = 0;
    for (size_t k = 0; k < NAMES; k++) {
        const struct meta_topic *t = meta_topic(i, name_of(k));
        expect_eq(t != NULL, want->topics[k].there);
        compare_keys(i, k, &want->topics[k]);
        if (t == NULL)
            continue;
        there++;
        expect(uuid_equal(&t->id, &want->topics[k].id));
        expect(meta_topic_by_id(i, &t->id) == t);
        compare_partitions(t, &want->topics[k]);
    }
    expect_eq(i->topic_count, there);
    for (size_t k = 1; k < i->topic_count; k++)
        expect(bytes_compare(i->topics[k - 1]->name, i->topics[k]->name) < 0);
    for (size_t k = 0; k < i->topic_count; k++)
        expect(meta_topic(i, i->topics[k]->name) == i->topics[k]);
}

void test_random_records_against_a_model(void)
{
    static struct model old_models[OLD];
    const struct meta_image *old[OLD] = {NULL}, *image = NULL;
    int64_t offset = 0;
    for (int round = 0; round < 3000; round++) {
        struct meta_change change;
        const struct meta_image *next;
        meta_change_init(&change);
        for (uint64_t n = round == 0 ? 1 : below(round % 50 == 0 ? 300 : 6); n > 0; n--)
            random_change(&change);
        expect_eq(meta_image_apply(image, &change, offset, &next), OUT_OK);
        offset += (int64_t)change.count;
        expect_eq(next->offset, offset - 1);
        meta_change_fini(&change);
        compare(next, &model);
        size_t k = below(OLD);
        if (old[k] != NULL) {
            compare(old[k], &old_models[k]);
            meta_image_drop(old[k]);
        }
        old[k] = image == NULL ? NULL : next;
        if (old[k] != NULL) {
            meta_image_hold(old[k]);
            old_models[k] = model;
        }
        meta_image_drop(image);
        image = next;
    }
    for (size_t k = 0; k < OLD; k++)
        meta_image_drop(old[k]);
    meta_image_drop(image);
}

/* More topics in one change than are put into their place one by one. */
void test_many_topics_at_once(void)
{
    enum { COUNT = 3000 };
    struct meta_change change;
    const struct meta_image *image, *less;
    struct topic_record r;
    char name[16];
    meta_change_init(&change);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "t%d", (i * 7919) % COUNT);
        wire_defaults(&wire_topic_record, &r);
        r.name = bytes_of(name);
        r.topic_id = uuid_random();
        expect_eq(meta_change_add(&change, &wire_topic_record, 0, &r), OUT_OK);
    }
    expect_eq(meta_image_apply(NULL, &change, 0, &image), OUT_OK);
    meta_change_fini(&change);
    expect_eq(image->topic_count, COUNT);
    for (size_t i = 1; i < COUNT; i++)
        expect(bytes_compare(image->topics[i - 1]->name, image->topics[i]->name) < 0);
    meta_change_init(&change);
    for (size_t i = 0; i < COUNT; i += 2)
        expect_eq(meta_plan_delete(image->topics[i], &change), OUT_OK);
    expect_eq(meta_image_apply(image, &change, COUNT, &less), OUT_OK);
    meta_change_fini(&change);
    expect_eq(less->topic_count, COUNT / 2);
    for (size_t i = 0; i < COUNT; i++)
        expect_eq(meta_topic(less, image->topics[i]->name) != NULL, i % 2);
    meta_image_drop(image);
    meta_image_drop(less);
}

/* ---- records that mean nothing to an image ---- */

static const struct meta_image *apply(const struct meta_image *from, const struct wire_message *m,
                                      const void *record)
{
    struct meta_change change;
    const struct meta_image *to;
    meta_change_init(&change);
    expect_eq(meta_change_add(&change, m, m->highest, record), OUT_OK);
    expect_eq(meta_image_apply(from, &change, from == NULL ? 0 : from->offset + 1, &to), OUT_OK);
    meta_change_fini(&change);
    meta_image_drop(from);
    return to;
}

static const struct meta_image *with_quota(const struct meta_image *from, const char *user,
                                           double value, bool remove)
{
    struct client_quota_record r;
    struct client_quota_record_entity entity[2] = {
        {.entity_type = bytes_of("user"), .entity_name = bytes_of(user)},
        {.entity_type = bytes_of("client-id")}};
    wire_defaults(&wire_client_quota_record, &r);
    r.entity = entity;
    r.entity_count = 2;
    r.key = bytes_of("producer_byte_rate");
    r.value = value;
    r.remove = remove;
    return apply(from, &wire_client_quota_record, &r);
}

void test_kept_records_replace_their_like(void)
{
    struct access_control_entry_record acl;
    struct remove_access_control_entry_record gone;
    const struct meta_image *i = with_quota(NULL, "a", 1, false);
    i = with_quota(i, "b", 1, false);
    expect_eq(i->kept_count, 2);
    i = with_quota(i, "a", 2, false);
    expect_eq(i->kept_count, 2);
    i = with_quota(i, NULL, 2, false); /* the default user is not the user "" or "a" */
    expect_eq(i->kept_count, 3);
    i = with_quota(i, "a", 0, true);
    expect_eq(i->kept_count, 2);
    i = with_quota(i, "a", 0, true);
    expect_eq(i->kept_count, 2);

    wire_defaults(&wire_access_control_entry_record, &acl);
    wire_defaults(&wire_remove_access_control_entry_record, &gone);
    acl.id = uuid_random();
    acl.principal = acl.resource_name = acl.host = bytes_of("x");
    i = apply(i, &wire_access_control_entry_record, &acl);
    acl.id = uuid_random();
    i = apply(i, &wire_access_control_entry_record, &acl);
    expect_eq(i->kept_count, 4);
    gone.id = acl.id;
    i = apply(i, &wire_remove_access_control_entry_record, &gone);
    expect_eq(i->kept_count, 3);
    expect_eq(i->kept[2]->type, METADATA_ACCESS_CONTROL_ENTRY_RECORD);
    meta_image_drop(i);
}

void test_fencing_needs_the_right_epoch(void)
{
    struct register_broker_record r;
    struct fence_broker_record fence = {.id = 5, .epoch = 10};
    struct unfence_broker_record unfence = {.id = 5, .epoch = 11};
    struct broker_registration_change_record shut;
    wire_defaults(&wire_register_broker_record, &r);
    r.broker_id = 5;
    r.broker_epoch = 11;
    r.rack = bytes_of("r1");
    const struct meta_image *i = apply(NULL, &wire_register_broker_record, &r);
    expect(meta_broker(i, 5)->fenced && meta_broker(i, 4) == NULL);
    i = apply(i, &wire_unfence_broker_record, &unfence);
    expect(!meta_broker(i, 5)->fenced);
    i = apply(i, &wire_fence_broker_record, &fence); /* of an earlier registration */
    expect(!meta_broker(i, 5)->fenced);
    wire_defaults(&wire_broker_registration_change_record, &shut);
    shut.broker_id = 5;
    shut.broker_epoch = 11;
    shut.in_controlled_shutdown = 1;
    shut.fenced = 1;
    i = apply(i, &wire_broker_registration_change_record, &shut);
    expect(meta_broker(i, 5)->fenced && meta_broker(i, 5)->in_controlled_shutdown);
    expect(bytes_is(meta_broker(i, 5)->rack, "r1"));
    struct unregister_broker_record leave = {.broker_id = 5, .broker_epoch = 11};
    i = apply(i, &wire_unregister_broker_record, &leave);
    expect_eq(i->broker_count, 0);
    meta_image_drop(i);
}

/* Any record, also a made-up one, gives an outcome and never more. */
void test_made_up_records_are_survived(void)
{
    uint64_t seed = 7;
    int applied = 0;
    const struct meta_image *image = NULL, *next;
    struct arena arena;
    arena_init(&arena, MiB(16));
    for (int round = 0; round < 4000; round++) {
        const struct wire_message *m = wire_metadata_record((int)below(30));
        struct meta_change change;
        if (m == NULL)
            continue;
        void *record = arena_take(&arena, m->size);
        expect(record != NULL && wire_random(m, m->highest, &seed, &arena, record));
        meta_change_init(&change);
        expect_eq(meta_change_add(&change, m, m->highest, record), OUT_OK);
        if (meta_image_apply(image, &change, round, &next) == OUT_OK) {
            meta_image_drop(image);
            image = next;
            applied++;
        }
        meta_change_fini(&change);
        arena_reset(&arena);
    }
    expect(applied > 1000);
    meta_image_drop(image);
    arena_fini(&arena);
}

/* A cut or damaged record is said, not followed. */
void test_damaged_records(void)
{
    static const uint8_t frames[][6] = {{0}, {2, 2, 0}, {1}, {1, 2}, {1, 2, 9, 0},
                                         {1, 2, 0, 9, 'x', 0}};
    static const size_t sizes[] = {0, 3, 1, 2, 4, 5};
    static const enum outcome outcomes[] = {OUT_CORRUPT, OUT_CORRUPT, OUT_CORRUPT, OUT_CORRUPT,
                                            OUT_UNSUPPORTED, OUT_CORRUPT};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct meta_change change;
        const struct meta_image *to = NULL;
        meta_change_init(&change);
        expect_eq(meta_change_add_framed(&change, bytes_view(frames[i], sizes[i])), OUT_OK);
        expect_eq(meta_image_apply(NULL, &change, 0, &to), outcomes[i]);
        expect(to == NULL);
        meta_change_fini(&change);
    }
}
