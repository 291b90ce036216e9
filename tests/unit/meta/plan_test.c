/* SPDX-License-Identifier: MIT */
/* Planners: what a change of topics is refused for, and what it becomes. Rules as Kafka 4.3.1
 * answers. */
#include "helper.h"

static struct meta *m;
static struct meta_change change;

static void begin(void)
{
    m = open_dir(scratch());
    meta_change_init(&change);
}

static void end(void)
{
    meta_change_fini(&change);
    expect_eq(meta_close(&m), OUT_OK);
}

static struct meta_new_topic plain(const char *name)
{
    return (struct meta_new_topic){.name = bytes_of(name), .partition_count = 1,
                                   .replication_factor = 1};
}

static enum outcome plan(const struct meta_new_topic *t)
{
    struct meta_rules rules = rules_of(m);
    struct uuid id;
    size_t before = change.count;
    enum outcome o = meta_plan_topic(meta_newest(m), &rules, t, &change, &id);
    if (o != OUT_OK) { /* what was refused leaves nothing, and says why */
        expect_eq(change.count, before);
        expect(outcome_trail()[0] != '\0');
    }
    return o;
}

static enum outcome plan_name(const char *name)
{
    struct meta_new_topic t = plain(name);
    return plan(&t);
}

void test_names(void)
{
    char longest[251];
    memset(longest, 'x', sizeof longest);
    longest[250] = '\0';
    begin();
    expect_eq(plan_name(""), OUT_INVALID_TOPIC);
    expect_eq(plan_name("."), OUT_INVALID_TOPIC);
    expect_eq(plan_name(".."), OUT_INVALID_TOPIC);
    expect_eq(plan_name("with blank"), OUT_INVALID_TOPIC);
    expect_eq(plan_name("a/b"), OUT_INVALID_TOPIC);
    expect_eq(plan_name("\xc3\xa4"), OUT_INVALID_TOPIC);
    expect_eq(plan_name(longest), OUT_INVALID_TOPIC);
    expect_eq(plan_name(longest + 1), OUT_OK);
    expect_eq(plan_name("..."), OUT_OK);
    expect_eq(plan_name("Az09._-"), OUT_OK);
    expect_eq(plan_name("__cluster_metadata"), OUT_INVALID);
    end();
}

void test_names_that_are_taken(void)
{
    begin();
    create(m, "a.b", 1);
    create(m, "plain", 1);
    expect_eq(plan_name("a.b"), OUT_EXISTS);
    expect_eq(plan_name("plain"), OUT_EXISTS);
    expect_eq(plan_name("a_b"), OUT_INVALID_TOPIC);
    expect(strstr(outcome_trail(), "collides with existing topic: a.b") != NULL);
    expect_eq(plan_name("a-b"), OUT_OK);
    struct meta_change gone;
    meta_change_init(&gone);
    expect_eq(meta_plan_delete(meta_topic(meta_newest(m), bytes_of("a.b")), &gone), OUT_OK);
    commit(m, &gone);
    expect_eq(plan_name("a_b"), OUT_OK);
    end();
}

static enum outcome plan_counts(int32_t partitions, int16_t factor)
{
    struct meta_new_topic t = plain("t");
    t.partition_count = partitions;
    t.replication_factor = factor;
    return plan(&t);
}

void test_counts(void)
{
    begin();
    expect_eq(plan_counts(1, 2), OUT_INVALID_REPLICATION_FACTOR);
    expect_eq(plan_counts(1, 0), OUT_INVALID_REPLICATION_FACTOR);
    expect_eq(plan_counts(1, -2), OUT_INVALID_REPLICATION_FACTOR);
    expect_eq(plan_counts(0, 1), OUT_INVALID_PARTITIONS);
    expect_eq(plan_counts(-2, 1), OUT_INVALID_PARTITIONS);
    expect_eq(plan_counts(INT32_MAX, 1), OUT_INVALID_PARTITIONS);
    expect_eq(change.count, 0);
    expect_eq(plan_counts(-1, -1), OUT_OK);
    expect_eq(change.count, 2); /* the topic and its one partition */
    end();
}

static enum outcome assign(int32_t partitions, int16_t factor, const struct meta_assignment *a,
                           size_t count)
{
    struct meta_new_topic t = plain("assigned");
    t.partition_count = partitions;
    t.replication_factor = factor;
    t.assignments = a;
    t.assignment_count = count;
    return plan(&t);
}

void test_manual_assignments(void)
{
    const int32_t own = 1, other = 98, twice[2] = {1, 1};
    const struct meta_assignment good[2] = {{1, &own, 1}, {0, &own, 1}};
    const struct meta_assignment late = {1, &own, 1}, foreign = {0, &other, 1};
    const struct meta_assignment doubled = {0, twice, 2}, nobody = {0, &own, 0};
    const struct meta_assignment same[2] = {{0, &own, 1}, {0, &own, 1}}, negative = {-1, &own, 1};
    begin();
    expect_eq(assign(1, -1, good, 2), OUT_INVALID);
    expect_eq(assign(-1, 1, good, 2), OUT_INVALID);
    expect_eq(assign(-1, -1, &late, 1), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, &negative, 1), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, &foreign, 1), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, &doubled, 1), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, &nobody, 1), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, same, 2), OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(assign(-1, -1, good, 2), OUT_OK);
    expect_eq(meta_commit(m, &change, NOW), OUT_OK);
    const struct meta_topic *t = meta_topic(meta_newest(m), bytes_of("assigned"));
    expect_eq(t->partition_count, 2);
    struct uuid directory = meta_directory_id(m);
    expect(uuid_equal(&t->partitions[1].placement->directories[0], &directory));
    end();
}

static enum outcome plan_configs(const char *name, const struct meta_pair *pairs, size_t count)
{
    struct meta_new_topic t = plain(name);
    t.configs = pairs;
    t.config_count = count;
    return plan(&t);
}

void test_settings(void)
{
    const struct meta_pair bad = {bytes_of("no!such"), bytes_of("1")};
    const struct meta_pair null = {bytes_of("retention.ms"), {NULL, 0}};
    const struct meta_pair pairs[4] = {{bytes_of("retention.ms"), bytes_of("1")},
                                       {bytes_of("cleanup.policy"), bytes_of("")},
                                       {bytes_of("retention.ms"), bytes_of("2")},
                                       {bytes_of("a"), bytes_of("3")}};
    begin();
    expect_eq(plan_configs("x", &bad, 1), OUT_INVALID_CONFIG);
    expect(strstr(outcome_trail(), "no!such") != NULL);
    expect_eq(plan_configs("x", &null, 1), OUT_INVALID_CONFIG);
    expect_eq(plan_configs("x", pairs, 4), OUT_OK);
    expect_eq(change.count, 5); /* topic, three settings, partition */
    expect_eq(meta_commit(m, &change, NOW), OUT_OK);
    const struct meta_configs *c = meta_configs(meta_newest(m), 2, bytes_of("x"));
    expect_eq(c->count, 3);
    expect(bytes_is(c->pairs[0].name, "a") && bytes_is(c->pairs[0].value, "3"));
    expect(bytes_is(c->pairs[1].name, "cleanup.policy"));
    expect(c->pairs[1].value.at != NULL && c->pairs[1].value.size == 0);
    expect(bytes_is(c->pairs[2].name, "retention.ms") && bytes_is(c->pairs[2].value, "2"));
    end();
}

/* As many settings as a request has room for are looked at in one pass. */
void test_very_many_settings(void)
{
    enum { COUNT = 400000 };
    static struct meta_pair pairs[COUNT];
    static char names[COUNT][8];
    begin();
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "k%zu", i % (COUNT / 2));
        pairs[i] = (struct meta_pair){bytes_of(names[i]), bytes_of("v")};
    }
    pairs[COUNT - 1].name = bytes_of("the!last");
    expect_eq(plan_configs("x", pairs, COUNT), OUT_INVALID_CONFIG);
    end();
}

void test_more_partitions(void)
{
    const int32_t own = 1, both[2] = {1, 98}, other = 98;
    const struct meta_assignment good[2] = {{0, &own, 1}, {0, &own, 1}};
    const struct meta_assignment wide[2] = {{0, both, 2}, {0, both, 2}};
    const struct meta_assignment foreign[2] = {{0, &own, 1}, {0, &other, 1}};
    begin();
    create(m, "t", 2);
    struct meta_rules rules = rules_of(m);
    const struct meta_image *i = meta_newest(m);
    const struct meta_topic *t = meta_topic(i, bytes_of("t"));
    expect_eq(meta_plan_partitions(i, &rules, t, 2, NULL, 0, &change), OUT_INVALID_PARTITIONS);
    expect_eq(meta_plan_partitions(i, &rules, t, 1, NULL, 0, &change), OUT_INVALID_PARTITIONS);
    expect_eq(meta_plan_partitions(i, &rules, t, 0, NULL, 0, &change), OUT_INVALID_PARTITIONS);
    expect_eq(meta_plan_partitions(i, &rules, t, -1, NULL, 0, &change), OUT_INVALID_PARTITIONS);
    expect_eq(meta_plan_partitions(i, &rules, t, INT32_MAX, NULL, 0, &change),
              OUT_INVALID_PARTITIONS);
    expect_eq(meta_plan_partitions(i, &rules, t, 4, good, 1, &change),
              OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(meta_plan_partitions(i, &rules, t, 4, wide, 2, &change),
              OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(meta_plan_partitions(i, &rules, t, 4, foreign, 2, &change),
              OUT_INVALID_REPLICA_ASSIGNMENT);
    expect_eq(change.count, 0);
    expect_eq(meta_plan_partitions(i, &rules, t, 4, good, 2, &change), OUT_OK);
    expect_eq(change.count, 2);
    expect_eq(meta_commit(m, &change, NOW), OUT_OK);
    expect_eq(meta_topic(meta_newest(m), bytes_of("t"))->partition_count, 4);
    end();
}

void test_producer_ids_come_in_blocks(void)
{
    begin();
    expect_eq(meta_newest(m)->next_producer_id, 0);
    for (int64_t block = 1; block < 4; block++) {
        struct meta_change ids;
        meta_change_init(&ids);
        expect_eq(meta_plan_producer_ids(meta_newest(m), 1, 1000, &ids), OUT_OK);
        commit(m, &ids);
        expect_eq(meta_newest(m)->next_producer_id, block * 1000);
    }
    end();
}

void test_internal_topics(void)
{
    expect(meta_topic_internal(bytes_of("__consumer_offsets")));
    expect(meta_topic_internal(bytes_of("__transaction_state")));
    expect(meta_topic_internal(bytes_of("__share_group_state")));
    expect(!meta_topic_internal(bytes_of("__mine")));
}
