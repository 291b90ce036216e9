/* SPDX-License-Identifier: MIT */
/*
 * A load generator on librdkafka: produces records with a sequence number in each, or consumes them
 * and checks count, order and sum. One partition, one connection.
 *
 *     load produce BOOTSTRAP TOPIC COUNT SIZE ACKS     prints seconds
 *     load consume BOOTSTRAP TOPIC COUNT SIZE          prints seconds
 *
 * Exit status 1 when a record was lost, refused, doubled or changed.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t failed, delivered;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[512];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s=%s: %s\n", key, value, why);
        exit(2);
    }
}

static void delivery(rd_kafka_t *client, const rd_kafka_message_t *m, void *opaque)
{
    (void)client;
    (void)opaque;
    if (m->err)
        failed++;
    else
        delivered++;
}

static rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *bootstrap)
{
    char why[512];
    set(conf, "bootstrap.servers", bootstrap);
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (client == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(2);
    }
    return client;
}

static int produce(const char *bootstrap, const char *topic, int64_t count, size_t size,
                   const char *acks)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char *value = malloc(size);
    set(conf, "acks", acks);
    set(conf, "linger.ms", "5");
    set(conf, "batch.size", "65536");
    set(conf, "batch.num.messages", "10000");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "524288");
    rd_kafka_conf_set_dr_msg_cb(conf, delivery);
    rd_kafka_t *client = open_client(RD_KAFKA_PRODUCER, conf, bootstrap);
    rd_kafka_topic_t *t = rd_kafka_topic_new(client, topic, NULL);
    for (size_t i = 0; i < size; i++)
        value[i] = (char)('a' + i * 7 % 26);
    double begin = now();
    for (int64_t i = 0; i < count; i++) {
        memcpy(value, &i, sizeof i);
        while (rd_kafka_produce(t, 0, RD_KAFKA_MSG_F_COPY, value, size, NULL, 0, NULL) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                return 1;
            rd_kafka_poll(client, 10);
        }
        if (i % 1000 == 0)
            rd_kafka_poll(client, 0);
    }
    while (delivered + failed < count)
        rd_kafka_poll(client, 100);
    printf("%.6f\n", now() - begin);
    free(value);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(client);
    return failed == 0 ? 0 : 1;
}

static int consume(const char *bootstrap, const char *topic, int64_t count, size_t size)
{
    enum { BATCH = 10000 };
    static rd_kafka_message_t *batch[BATCH];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "fetch.wait.max.ms", "100");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "queued.max.messages.kbytes", "1048576"); /* or it pauses for a second when full */
    set(conf, "check.crcs", "false");
    rd_kafka_t *client = open_client(RD_KAFKA_CONSUMER, conf, bootstrap);
    rd_kafka_topic_t *t = rd_kafka_topic_new(client, topic, NULL);
    int64_t got = 0, wrong = 0, sum = 0;
    double begin = now();
    rd_kafka_consume_start(t, 0, RD_KAFKA_OFFSET_BEGINNING);
    while (got < count && now() - begin < 300) {
        size_t wanted = count - got < BATCH ? (size_t)(count - got) : BATCH; /* it waits for all */
        ssize_t n = rd_kafka_consume_batch(t, 0, 1000, batch, wanted);
        for (ssize_t i = 0; i < n; i++) {
            int64_t number = -1;
            if (batch[i]->err == 0 && batch[i]->len == size)
                memcpy(&number, batch[i]->payload, sizeof number);
            if (batch[i]->err == 0) {
                wrong += batch[i]->offset != got || number < 0;
                sum += number;
                got++;
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }
    printf("%.6f\n", now() - begin);
    rd_kafka_consume_stop(t, 0);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(client);
    fprintf(stderr, "read %" PRId64 " of %" PRId64 ", %" PRId64 " wrong, sum %" PRId64 "\n", got,
            count, wrong, sum);
    return got == count && wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "produce") == 0)
        return produce(argv[2], argv[3], atoll(argv[4]), (size_t)atoll(argv[5]), argv[6]);
    if (argc == 6 && strcmp(argv[1], "consume") == 0)
        return consume(argv[2], argv[3], atoll(argv[4]), (size_t)atoll(argv[5]));
    fprintf(stderr, "usage: load produce|consume BOOTSTRAP TOPIC COUNT SIZE [ACKS]\n");
    return 2;
}
