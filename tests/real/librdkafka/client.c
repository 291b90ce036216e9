/* SPDX-License-Identifier: MIT */
/*
 * client BOOTSTRAP PREFIX: librdkafka's C interface (the distribution's version) against a broker,
 * results as TAP. Each case makes its own topics and clients; a case that fails leaves them to the
 * end of the process. The sample records are those of ../java/Sample.java.
 */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <time.h>

#include "tap.h"

#define COUNT 300
#define NUMBERS 400
#define TIME 1600000000000LL
#define WAIT_MS 60000 /* a busy machine may need it for what takes milliseconds */
#define SHORT_MS 200

struct tap tap;
static const char *bootstrap;
static const char *prefix;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* --- clients ------------------------------------------------------------------------------- */

struct sent {
    int64_t offset[2 * COUNT]; /* of the delivered messages, in order of delivery */
    int count;
    int failed;
    rd_kafka_resp_err_t error; /* of the last failed one */
};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct sent *sent = opaque;
    (void)client;
    if (message->err) {
        sent->failed++;
        sent->error = message->err;
    } else if (sent->count < 2 * COUNT) {
        sent->offset[sent->count++] = message->offset;
    }
}

static rd_kafka_conf_t *settings(const char *const *pairs)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
    for (; pairs && *pairs; pairs += 2)
        must(!rd_kafka_conf_set(conf, pairs[0], pairs[1], error, sizeof error), "%s", error);
    return conf;
}

static rd_kafka_t *producer(struct sent *sent, const char *const *pairs)
{
    char error[512];
    rd_kafka_conf_t *conf = settings(pairs);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    memset(sent, 0, sizeof *sent);
    rd_kafka_conf_set_opaque(conf, sent);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    must(client, "%s", error);
    return client;
}

static rd_kafka_t *consumer(const char *group, const char *const *pairs)
{
    static const char *const base[] = {"auto.offset.reset", "earliest", "enable.auto.commit",
        "false", "fetch.wait.max.ms", "100", "session.timeout.ms", "30000", "heartbeat.interval.ms",
        "200", NULL};
    char error[512];
    rd_kafka_conf_t *conf = settings(base);
    rd_kafka_conf_set(conf, "group.id", group, error, sizeof error);
    for (; pairs && *pairs; pairs += 2)
        must(!rd_kafka_conf_set(conf, pairs[0], pairs[1], error, sizeof error), "%s", error);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    must(client, "%s", error);
    rd_kafka_poll_set_consumer(client);
    return client;
}

/* --- admin --------------------------------------------------------------------------------- */

static rd_kafka_t *admin;
static rd_kafka_queue_t *answers;

static rd_kafka_event_t *answer(rd_kafka_event_type_t type)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, WAIT_MS);
    must(event, "no answer to an admin request");
    must_equal(type, rd_kafka_event_type(event), "type of the answer");
    must(!rd_kafka_event_error(event), "%s", rd_kafka_event_error_string(event));
    return event;
}

static rd_kafka_resp_err_t create(const char *name, int partitions, const char *key,
    const char *value)
{
    char error[512];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, error, sizeof error);
    must(topic, "%s", error);
    rd_kafka_NewTopic_set_config(topic, "retention.ms", "-1");
    if (key)
        rd_kafka_NewTopic_set_config(topic, key, value);
    rd_kafka_CreateTopics(admin, &topic, 1, NULL, answers);
    rd_kafka_event_t *event = answer(RD_KAFKA_EVENT_CREATETOPICS_RESULT);
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t result = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    return result;
}

static int partition_count(const char *name)
{
    const struct rd_kafka_metadata *metadata;
    must(!rd_kafka_metadata(admin, 1, NULL, &metadata, WAIT_MS), "metadata");
    int count = 0;
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (!strcmp(metadata->topics[i].topic, name))
            count = metadata->topics[i].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return count;
}

static void wait_partitions(const char *name, int count)
{
    long long end = now_ms() + WAIT_MS;
    while (partition_count(name) != count)
        must(now_ms() < end, "%s does not get to %d partitions", name, count);
}

/* Creates a topic and waits until the leader of every partition serves it. */
static const char *make_topic(const char *begin, const char *name, int partitions)
{
    static char full[8][200];
    static int turn;
    char *out = full[turn++ % 8];
    snprintf(out, sizeof full[0], "%s%s-%s", begin, prefix, name);
    must_equal(0, create(out, partitions, NULL, NULL), "error of the creation");
    wait_partitions(out, partitions);
    for (int partition = 0; partition < partitions; partition++) {
        long long end = now_ms() + WAIT_MS;
        int64_t low, high;
        while (rd_kafka_query_watermark_offsets(admin, out, partition, &low, &high, 5000)) {
            must(now_ms() < end, "%s-%d is not served", out, partition);
            partition_count(out); /* asks for the metadata again */
        }
    }
    return out;
}

static const char *topic(const char *name, int partitions)
{
    return make_topic("", name, partitions);
}

/* --- the sample records -------------------------------------------------------------------- */

struct sample {
    char key[20];
    char value[600];
    int key_size; /* -1: null */
    int value_size;
};

static struct sample sample(int i)
{
    struct sample s;
    s.key_size = i % 7 ? snprintf(s.key, sizeof s.key, "key-%d", i) : -1;
    s.value_size = snprintf(s.value, 100, "value-%d-", i);
    memset(s.value + s.value_size, 'a' + i % 26, (size_t)(i * 37 % 500));
    s.value_size += i * 37 % 500;
    if (i % 11 == 0 && i % 7)
        s.value_size = -1;
    return s;
}

static void send_sample(rd_kafka_t *client, const char *where, int i)
{
    struct sample s = sample(i);
    char number[20];
    snprintf(number, sizeof number, "%d", i);
    rd_kafka_vu_t list[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = where},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = TIME + i * 1000LL},
        {.vtype = RD_KAFKA_VTYPE_KEY,
            .u.mem = {s.key_size < 0 ? NULL : s.key, (size_t)(s.key_size < 0 ? 0 : s.key_size)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {s.value_size < 0 ? NULL : s.value,
                                            (size_t)(s.value_size < 0 ? 0 : s.value_size)}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"n", number, -1}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"n", "again", -1}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"empty", "", 0}},
    };
    size_t count = sizeof list / sizeof *list - (i % 3 ? 3 : 0);
    rd_kafka_error_t *error = rd_kafka_produceva(client, list, count);
    must(!error, "%s", rd_kafka_error_string(error));
}

static void send_samples(rd_kafka_t *client, const char *where, int from, int to)
{
    struct sent *sent = rd_kafka_opaque(client);
    int before = sent->count;
    for (int i = from; i < to; i++) {
        send_sample(client, where, i);
        rd_kafka_poll(client, 0);
    }
    must(!rd_kafka_flush(client, WAIT_MS), "flush");
    must_equal(0, sent->failed, "failed messages");
    must_equal(to - from, sent->count - before, "delivered messages");
}

static void fill(const char *where, int count)
{
    struct sent sent;
    rd_kafka_t *client = producer(&sent, NULL);
    send_samples(client, where, 0, count);
    rd_kafka_destroy(client);
}

static void check_headers(const rd_kafka_message_t *got, int i)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name;
    const void *value;
    size_t size;
    char number[20];
    snprintf(number, sizeof number, "%d", i);
    const char *const names[] = {"n", "n", "empty"};
    const char *const values[] = {number, "again", ""};
    rd_kafka_message_headers(got, &headers);
    must_equal(i % 3 ? 0 : 3, headers ? (long long)rd_kafka_header_cnt(headers) : 0, "headers");
    for (size_t h = 0; headers && h < 3; h++) {
        must(!rd_kafka_header_get_all(headers, h, &name, &value, &size), "header");
        must(!strcmp(name, names[h]), "header name %s", name);
        must(size == strlen(values[h]) && !memcmp(value, values[h], size), "header value");
    }
}

static void check_sample(const rd_kafka_message_t *got, int i)
{
    struct sample s = sample(i);
    rd_kafka_timestamp_type_t type;
    must(!got->err, "%s", rd_kafka_message_errstr(got));
    must_equal(i, got->offset, "offset");
    must_equal(TIME + i * 1000LL, rd_kafka_message_timestamp(got, &type), "timestamp");
    must_equal(RD_KAFKA_TIMESTAMP_CREATE_TIME, type, "timestamp type");
    must(!got->key == (s.key_size < 0), "null key at %d", i);
    must(!got->payload == (s.value_size < 0), "null value at %d", i);
    if (got->key)
        must(got->key_len == (size_t)s.key_size && !memcmp(got->key, s.key, got->key_len),
            "key at %d", i);
    if (got->payload)
        must(got->len == (size_t)s.value_size && !memcmp(got->payload, s.value, got->len),
            "value at %d", i);
    check_headers(got, i);
}

/* --- reading ------------------------------------------------------------------------------- */

static void assign(rd_kafka_t *client, const char *where, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, where, 0)->offset = offset;
    must(!rd_kafka_assign(client, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
}

static rd_kafka_message_t *next(rd_kafka_t *client)
{
    long long end = now_ms() + WAIT_MS;
    rd_kafka_message_t *got;
    while (!(got = rd_kafka_consumer_poll(client, SHORT_MS)))
        must(now_ms() < end, "no record came");
    return got;
}

static void read_samples(rd_kafka_t *client, int from, int to)
{
    for (int i = from; i < to; i++) {
        rd_kafka_message_t *got = next(client);
        check_sample(got, i);
        rd_kafka_message_destroy(got);
    }
}

static void read_all(const char *where, int from, int to, int64_t offset)
{
    rd_kafka_t *client = consumer("none", NULL);
    assign(client, where, offset);
    read_samples(client, from, to);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
}

/* --- cases: data --------------------------------------------------------------------------- */

static void case_codec(const char *codec)
{
    struct sent sent;
    const char *const pairs[] = {
        "compression.type", codec, "enable.idempotence", "true", "linger.ms", "2", NULL};
    const char *where = make_topic("data-", codec, 1);
    rd_kafka_t *client = producer(&sent, pairs);
    send_samples(client, where, 0, COUNT);
    for (int i = 0; i < COUNT; i++)
        must_equal(i, sent.offset[i], "offset in the report");
    rd_kafka_destroy(client);
    read_all(where, 0, COUNT, RD_KAFKA_OFFSET_BEGINNING);
}

static void case_acks(const char *acks)
{
    char name[40];
    struct sent sent;
    const char *const pairs[] = {"acks", acks, "compression.type", "lz4", NULL};
    snprintf(name, sizeof name, "acks%s", acks);
    const char *where = topic(name, 1);
    rd_kafka_t *client = producer(&sent, pairs);
    send_samples(client, where, 0, COUNT);
    rd_kafka_destroy(client);
    read_all(where, 0, COUNT, RD_KAFKA_OFFSET_BEGINNING);
}

static void case_large(const char *unused)
{
    (void)unused;
    static char value[1100000];
    struct sent sent;
    const char *const pairs[] = {"message.max.bytes", "3000000", NULL};
    const char *where = topic("large", 1);
    unsigned state = 1;
    for (size_t i = 0; i < sizeof value; i++) {
        state = state * 1103515245U + 12345U;
        value[i] = (char)(state >> 16);
    }
    rd_kafka_t *client = producer(&sent, pairs);
    for (size_t size = 1000000; size <= sizeof value; size += 100000)
        must(!rd_kafka_producev(client, RD_KAFKA_V_TOPIC(where), RD_KAFKA_V_VALUE(value, size),
                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END), "produce");
    must(!rd_kafka_flush(client, WAIT_MS), "flush");
    must_equal(1, sent.count, "delivered");
    must_equal(1, sent.failed, "refused");
    must_equal(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, sent.error, "error");
    rd_kafka_destroy(client);
    client = consumer("none", NULL);
    assign(client, where, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_message_t *got = next(client);
    must(got->len == 1000000 && !memcmp(got->payload, value, got->len), "large value");
    rd_kafka_message_destroy(got);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
}

static void case_positions(const char *unused)
{
    (void)unused;
    const char *where = topic("positions", 1);
    struct sent sent;
    fill(where, 100);
    read_all(where, 42, 100, 42);
    read_all(where, 95, 100, RD_KAFKA_OFFSET_TAIL(5));
    rd_kafka_t *client = consumer("none", NULL);
    assign(client, where, RD_KAFKA_OFFSET_END);
    must(!rd_kafka_consumer_poll(client, 500), "nothing at the end");
    rd_kafka_t *writer = producer(&sent, NULL);
    rd_kafka_message_t *got = NULL;
    int end = 100;
    while (!got && end < 200) { /* when the client asks for the end is its own affair */
        send_samples(writer, where, end, end + 1);
        end++;
        got = rd_kafka_consumer_poll(client, SHORT_MS);
    }
    must(got && got->offset >= 100, "a record from the end on");
    check_sample(got, (int)got->offset);
    rd_kafka_message_destroy(got);
    int64_t low, high;
    must(!rd_kafka_query_watermark_offsets(client, where, 0, &low, &high, WAIT_MS), "watermarks");
    must_equal(0, low, "low");
    must_equal(end, high, "high");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, where, 0)->offset = TIME + 50500;
    must(!rd_kafka_offsets_for_times(client, list, WAIT_MS), "offsets for times");
    must_equal(51, list->elems[0].offset, "offset of a time");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    rd_kafka_destroy(writer);
}

/* --- cases: groups ------------------------------------------------------------------------- */

static int owned(rd_kafka_t *client)
{
    rd_kafka_topic_partition_list_t *list;
    must(!rd_kafka_assignment(client, &list), "assignment");
    int count = list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    return count;
}

static rd_kafka_t *member(const char *where, const char *assignor)
{
    const char *const pairs[] = {"partition.assignment.strategy", assignor, "enable.auto.commit",
        "true", "auto.commit.interval.ms", "50", NULL};
    rd_kafka_t *client = consumer(where, pairs);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, where, RD_KAFKA_PARTITION_UA);
    must(!rd_kafka_subscribe(client, list), "subscribe");
    rd_kafka_topic_partition_list_destroy(list);
    return client;
}

static void poll_once(rd_kafka_t *client, int *seen)
{
    rd_kafka_message_t *got = rd_kafka_consumer_poll(client, 10);
    if (!got)
        return;
    long number = got->err ? -1 : strtol(got->payload, NULL, 10);
    if (number >= 0 && number < NUMBERS)
        seen[number]++;
    rd_kafka_message_destroy(got);
}

static void send_numbers(rd_kafka_t *client, const char *where, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", i);
        must(!rd_kafka_producev(client, RD_KAFKA_V_TOPIC(where), RD_KAFKA_V_PARTITION(i % 4),
                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                 RD_KAFKA_V_VALUE(text, strlen(text) + 1), RD_KAFKA_V_END), "produce");
    }
    must(!rd_kafka_flush(client, WAIT_MS), "flush");
}

static void until_owned(rd_kafka_t *one, rd_kafka_t *two, int mine, int *seen)
{
    long long end = now_ms() + WAIT_MS;
    while (owned(one) != mine || (two && owned(two) != 4 - mine)) {
        must(now_ms() < end, "partitions are not shared out");
        poll_once(one, seen);
        if (two)
            poll_once(two, seen);
    }
}

static void case_group(const char *assignor)
{
    char name[60];
    int seen[NUMBERS] = {0};
    struct sent sent;
    snprintf(name, sizeof name, "group-%s", assignor);
    const char *where = topic(name, 4);
    rd_kafka_t *writer = producer(&sent, NULL);
    rd_kafka_t *one = member(where, assignor);
    send_numbers(writer, where, 0, 100);
    until_owned(one, NULL, 4, seen);
    rd_kafka_t *two = member(where, assignor);
    send_numbers(writer, where, 100, 200);
    until_owned(one, two, 2, seen);
    send_numbers(writer, where, 200, 300);
    for (int i = 0; i < 50; i++) {
        poll_once(one, seen);
        poll_once(two, seen);
    }
    rd_kafka_consumer_close(one);
    rd_kafka_destroy(one);
    until_owned(two, NULL, 4, seen);
    send_numbers(writer, where, 300, 400);
    long long end = now_ms() + WAIT_MS;
    int missing = 1;
    while (missing) {
        must(now_ms() < end, "%d of 400 records are missing", missing);
        poll_once(two, seen);
        missing = 0;
        for (int i = 0; i < 400; i++)
            missing += !seen[i];
    }
    rd_kafka_consumer_close(two);
    rd_kafka_destroy(two);
    rd_kafka_destroy(writer);
}

static void case_resume(const char *unused)
{
    (void)unused;
    const char *where = topic("resume", 1);
    fill(where, 50);
    rd_kafka_t *client = consumer(where, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, where, 0)->offset = 20;
    must(!rd_kafka_commit(client, list, 0), "commit");
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    client = member(where, "range");
    read_samples(client, 20, 50);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    client = consumer(where, NULL);
    must(!rd_kafka_committed(client, list, WAIT_MS), "committed");
    must_equal(50, list->elems[0].offset, "committed on close");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
}

/* --- cases: admin -------------------------------------------------------------------------- */

static void case_topics(const char *unused)
{
    (void)unused;
    char error[512];
    const char *where = topic("admin", 2);
    must_equal(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, create(where, 1, NULL, NULL), "again");
    must_equal(RD_KAFKA_RESP_ERR_INVALID_CONFIG, create("other", 1, "no.such.key", "1"), "config");
    must_equal(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, create("a b", 1, NULL, NULL), "bad name");
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(where, 5, error, sizeof error);
    rd_kafka_CreatePartitions(admin, &more, 1, NULL, answers);
    rd_kafka_event_destroy(answer(RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT));
    rd_kafka_NewPartitions_destroy(more);
    wait_partitions(where, 5);
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(where);
    rd_kafka_DeleteTopics(admin, &gone, 1, NULL, answers);
    rd_kafka_event_destroy(answer(RD_KAFKA_EVENT_DELETETOPICS_RESULT));
    rd_kafka_DeleteTopic_destroy(gone);
    wait_partitions(where, 0);
}

/* The value of a topic config is copied to out, which is empty if there is none. */
static void config_of(const char *where, const char *key, char *out, size_t size)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, where);
    rd_kafka_DescribeConfigs(admin, &resource, 1, NULL, answers);
    rd_kafka_event_t *event = answer(RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT);
    size_t count;
    const rd_kafka_ConfigResource_t **got = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(got[0], &count);
    out[0] = 0;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), key))
            snprintf(out, size, "%s", rd_kafka_ConfigEntry_value(entries[i]));
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void case_configs(const char *unused)
{
    (void)unused;
    char value[100];
    const char *where = topic("configs", 1);
    config_of(where, "retention.ms", value, sizeof value);
    must(!strcmp(value, "-1"), "retention.ms is %s", value);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, where);
    rd_kafka_ConfigResource_set_config(resource, "segment.ms", "7777777");
    rd_kafka_AlterConfigs(admin, &resource, 1, NULL, answers);
    rd_kafka_event_destroy(answer(RD_KAFKA_EVENT_ALTERCONFIGS_RESULT));
    rd_kafka_ConfigResource_destroy(resource);
    long long end = now_ms() + WAIT_MS;
    do {
        must(now_ms() < end, "segment.ms is %s", value);
        config_of(where, "segment.ms", value, sizeof value);
    } while (strcmp(value, "7777777"));
    config_of(where, "retention.ms", value, sizeof value);
    must(!strcmp(value, "604800000"), "retention.ms is %s after the replacement", value);
}

static void case_delete_records(const char *unused)
{
    (void)unused;
    const char *where = topic("records", 1);
    fill(where, 60);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, where, 0)->offset = 25;
    rd_kafka_DeleteRecords_t *delete = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(admin, &delete, 1, NULL, answers);
    rd_kafka_event_t *event = answer(RD_KAFKA_EVENT_DELETERECORDS_RESULT);
    const rd_kafka_topic_partition_list_t *got = rd_kafka_DeleteRecords_result_offsets(
        rd_kafka_event_DeleteRecords_result(event));
    must_equal(0, got->elems[0].err, "error");
    must_equal(25, got->elems[0].offset, "low watermark");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(delete);
    rd_kafka_topic_partition_list_destroy(list);
    read_all(where, 25, 60, RD_KAFKA_OFFSET_BEGINNING);
}

static void case_groups(const char *unused)
{
    (void)unused;
    int seen[NUMBERS] = {0};
    char error[512];
    const char *where = topic("groups", 4);
    rd_kafka_t *one = member(where, "range");
    until_owned(one, NULL, 4, seen);
    const struct rd_kafka_group_list *groups;
    must(!rd_kafka_list_groups(admin, where, &groups, WAIT_MS), "list");
    must_equal(1, groups->group_cnt, "groups");
    must(!strcmp(groups->groups[0].state, "Stable"), "state %s", groups->groups[0].state);
    must_equal(1, groups->groups[0].member_cnt, "members");
    rd_kafka_group_list_destroy(groups);
    rd_kafka_consumer_close(one);
    rd_kafka_destroy(one);
    rd_kafka_DeleteGroup_t *gone = rd_kafka_DeleteGroup_new(where);
    rd_kafka_DeleteGroups(admin, &gone, 1, NULL, answers);
    rd_kafka_event_t *event = answer(RD_KAFKA_EVENT_DELETEGROUPS_RESULT);
    size_t count;
    const rd_kafka_group_result_t **results = rd_kafka_DeleteGroups_result_groups(
        rd_kafka_event_DeleteGroups_result(event), &count);
    must(!rd_kafka_group_result_error(results[0]), "delete: %s",
        rd_kafka_error_string(rd_kafka_group_result_error(results[0])));
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteGroup_destroy(gone);
    char *cluster = rd_kafka_clusterid(admin, WAIT_MS);
    must(cluster && strlen(cluster) == 22, "cluster id %s", cluster ? cluster : error);
    rd_kafka_mem_free(admin, cluster);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    bootstrap = argv[1];
    prefix = argv[2];
    char error[512];
    admin = rd_kafka_new(RD_KAFKA_PRODUCER, settings(NULL), error, sizeof error);
    answers = rd_kafka_queue_new(admin);
    printf("# librdkafka %s\n", rd_kafka_version_str());
    const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        tap_run("produce idempotent, read back,", case_codec, codecs[i]);
    const char *const acks[] = {"0", "1", "all"};
    for (size_t i = 0; i < sizeof acks / sizeof *acks; i++)
        tap_run("produce acks", case_acks, acks[i]);
    tap_run("large records, and too large", case_large, NULL);
    tap_run("consume from start, end, offset, time, tail", case_positions, NULL);
    tap_run("rebalance in mid-stream,", case_group, "range");
    tap_run("rebalance in mid-stream,", case_group, "roundrobin");
    tap_run("rebalance in mid-stream,", case_group, "cooperative-sticky");
    tap_run("committed offsets are resumed", case_resume, NULL);
    tap_run("admin: topics, partitions", case_topics, NULL);
    tap_run("admin: configs", case_configs, NULL);
    tap_run("admin: delete records", case_delete_records, NULL);
    tap_run("admin: groups", case_groups, NULL);
    printf("1..%d\n", tap.count);
    fflush(stdout);
    _Exit(tap.failed ? 1 : 0);
}
