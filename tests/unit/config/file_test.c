/* SPDX-License-Identifier: MIT */
/* server.properties: its syntax, its mistakes, and what a real one of Kafka's gives. */
#include "helper.h"

#include <errno.h>

void test_separators_and_white_space(void)
{
    struct config *c = from_file("num.partitions=4\n"
                                 "  log.segment.bytes : 2097152  \n"
                                 "max.connections\t77\r\n"
                                 "auto.create.topics.enable   =   false\n"
                                 "group.max.size = 9");
    expect_eq(c->num_partitions, 4);
    expect_str(text_of(c, "log.segment.bytes"), "2097152");
    expect_eq(c->max_connections, 77);
    expect(!c->auto_create_topics_enable);
    expect_eq(c->group_max_size, 9); /* no newline at the end of the file */
    expect(c->file_given);
    config_free(c);
}

void test_comments_and_empty_lines(void)
{
    struct config *c = from_file("# num.partitions=4\n! num.partitions=5\n\n   \n\t# x\\\n"
                                 "num.partitions=6\n! y\\\nmax.connections=8\n");
    expect_eq(c->num_partitions, 6); /* a comment does not continue */
    expect_eq(c->max_connections, 8);
    config_free(c);
}

void test_continued_lines(void)
{
    struct config *c = from_file("log.cleanup.policy=compact,\\\n    delete\n"
                                 "num.part\\\nitions=5\n"
                                 "log.dirs=/a\\\\\nmax.connections=3\n");
    expect_str(text_of(c, "log.cleanup.policy"), "compact,delete");
    expect_eq(c->num_partitions, 5);
    expect_str(c->data_dir, "/a\\"); /* two backslashes are one, and no continuation */
    expect_eq(c->max_connections, 3);
    config_free(c);
    c = from_file("num.partitions=9\\"); /* the file ends in a continuation */
    expect_eq(c->num_partitions, 9);
    config_free(c);
}

void test_escapes(void)
{
    struct config *c = from_file("log.dirs=/a\\ b\\tc\\:d\\=e\\#f\n");
    expect_str(c->data_dir, "/a b\tc:d=e#f");
    config_free(c);
}

void test_the_last_of_two_counts(void)
{
    struct config *c = from_file("num.partitions=4\nnum.partitions=5\n");
    expect_eq(c->num_partitions, 5);
    config_free(c);
}

void test_unknown_name_with_line_and_nearest(void)
{
    struct setup s = {.words = {"--config", "FILE"},
                      .file = "# one\nnum.partitions=1\nnum.partitoins=2\n"};
    struct config *c;
    char place[96];
    expect_eq(load(&s, &c), OUT_NOT_FOUND);
    snprintf(place, sizeof place, "%s:3: ", file_path);
    expect(strstr(outcome_trail(), place) != NULL);
    expect(strstr(outcome_trail(), "num.partitoins") != NULL);
    expect(strstr(outcome_trail(), "did you mean num.partitions?") != NULL);
}

void test_bad_value_with_its_line(void)
{
    struct setup s = {.words = {"--config", "FILE"}, .file = "\n\nnum.\\\npartitions=0\n"};
    struct config *c;
    char place[96];
    expect_eq(load(&s, &c), OUT_INVALID);
    snprintf(place, sizeof place, "%s:3: ", file_path); /* where the continued line begins */
    expect(strstr(outcome_trail(), place) != NULL);
    expect(strstr(outcome_trail(), "num.partitions: must be in [1,...]") != NULL);
}

void test_no_file_and_no_regular_file(void)
{
    struct config *c;
    expect_eq(config_read_file("/nonexistent/x.properties", &c), OUT_NOT_FOUND);
    expect(strstr(outcome_trail(), "/nonexistent/x.properties") != NULL);
    expect(config_read_file("/tmp", &c) != OUT_OK); /* a directory opens, but can't be read */
    expect(strstr(outcome_trail(), "/tmp") != NULL);
}

void test_a_line_without_end_is_refused(void)
{
    char *text = malloc(40000);
    expect(text != NULL);
    memset(text, 'a', 39999);
    text[39999] = '\0';
    expect_refused(&(struct setup){.words = {"--config", "FILE"}, .file = text}, OUT_TOO_LARGE,
                   ":1: the line is longer");
    free(text);
}

void test_kafka_own_file(void)
{
    /* what Kafka 4 ships as config/server.properties says, apart from comments */
    struct config *c = from_file(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers="
        "localhost:9093\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
        "inter.broker.listener.name=PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
        "controller.listener.names=CONTROLLER\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT,"
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
        "num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
        "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n"
        "log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=2\n"
        "offsets.topic.replication.factor=1\nshare.coordinator.state.topic.replication.factor=1\n"
        "share.coordinator.state.topic.min.isr=1\ntransaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n"
        "log.retention.check.interval.ms=300000\n");
    expect_eq(c->node_id, 1);
    expect_eq(c->listeners[0].port, 9092);
    expect_str(c->listeners[0].host, "");
    expect_str(c->listeners[0].name, "PLAINTEXT");
    expect_str(c->listeners[0].advertised_host, "localhost");
    expect_eq(c->listeners[0].advertised_port, 9092);
    expect_str(c->data_dir, "/tmp/kraft-combined-logs");
    expect_eq(c->num_partitions, 1);
    struct topic_config t;
    topic_config_make(c, NULL, 0, &t);
    expect_eq(t.retention_ms, 168ll * 3600 * 1000);
    config_free(c);
}

void test_internals_are_named_in_one_warning(void)
{
    struct config *c = from_file("num.replica.fetchers=4\nnum.partitions=2\n"
                                 "queued.max.requests=100\n");
    expect(strncmp(c->warning, file_path, strlen(file_path)) == 0);
    expect(strstr(c->warning, "num.replica.fetchers, queued.max.requests") != NULL);
    expect(strstr(c->warning, "num.partitions") == NULL);
    expect(strchr(c->warning, '\n') == NULL);
    config_free(c);
    c = from_file("num.partitions=2\n");
    expect_str(c->warning, "");
    config_free(c);
}

void test_many_internals(void)
{
    char text[65536] = "";
    size_t count, used = 0;
    const struct config_row *rows = config_rows(CONFIG_BROKER, &count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].internal && rows[i].standard != NULL && rows[i].type == CONFIG_LONG)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%s\n", rows[i].name,
                                     rows[i].standard);
    }
    struct config *c = from_file(text); /* more than a line holds: cut, not overrun */
    expect(strlen(c->warning) < sizeof c->warning);
    config_free(c);
}
