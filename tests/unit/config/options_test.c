/* SPDX-License-Identifier: MIT */
/* Command line and environment: every option, precedence, refusals. */
#include "helper.h"

#include <errno.h>

#define SETUP(...) (&(struct setup){__VA_ARGS__})

/* ./data, told from the root on. */
static void expect_data_here(const struct config *c)
{
    char here[512];
    expect(getcwd(here, sizeof here - 8) != NULL);
    strncat(here, "/data", 8);
    expect_str(c->data_dir, here);
    expect_str(c->log_dirs[0], here);
}

static void expect_ids(const struct config *c, const char *id, enum config_source source)
{
    enum config_source from;
    expect_str(config_text(c, "node.id", &from), id);
    expect_eq(from, source);
    expect_str(config_text(c, "broker.id", &from), id);
    expect_eq(from, source);
}

void test_one_id_under_both_names(void)
{
    struct config *c = loaded(SETUP(.words = {"--broker-id", "7"}));
    expect_ids(c, "7", CONFIG_FROM_STATIC);
    expect_eq(c->node_id, 7);
    config_free(c);
    c = from_file("node.id=3\nbroker.id=4\n");
    expect_ids(c, "3", CONFIG_FROM_STATIC);
    expect_eq(c->node_id, 3);
    config_free(c);
    c = from_file("broker.id=-1\n");
    expect_ids(c, "0", CONFIG_FROM_STATIC);
    config_free(c);
    c = loaded(SETUP(0));
    expect_ids(c, "0", CONFIG_FROM_DEFAULT);
    config_free(c);
}

void test_defaults_without_anything(void)
{
    struct config *c = loaded(SETUP(0));
    expect_eq(c->listeners[0].port, 9092);
    expect_eq(c->metrics_port, 8080);
    expect_str(c->metrics_host, "127.0.0.1");
    expect_data_here(c);
    expect_eq(c->node_id, 0);
    expect_eq(c->num_partitions, 3);
    expect_eq(c->max_connections, 10000);
    expect_eq(c->log_level, 2);
    expect_eq(c->flush_mode, FLUSH_MODE_GROUP);
    expect(c->auto_create_topics_enable && c->delete_topic_enable && !c->file_given);
    expect_eq(source_of(c, "num.partitions"), CONFIG_FROM_DEFAULT);
    config_free(c);
}

void test_every_option_with_a_value(void)
{
    struct config *c = loaded(SETUP(
        .words = {"--host", "127.0.0.2", "-p", "1234", "--advertised-listener=broker.example:555",
                  "--data-dir=/tmp/x", "--broker-id", "7", "-l", "debug", "--metrics-port=0"}));
    expect_str(c->listeners[0].host, "127.0.0.2");
    expect_eq(c->listeners[0].port, 1234);
    expect_str(c->listeners[0].advertised_host, "broker.example");
    expect_eq(c->listeners[0].advertised_port, 555);
    expect_str(c->data_dir, "/tmp/x");
    expect_eq(c->node_id, 7);
    expect_eq(c->log_level, 1);
    expect_eq(c->metrics_port, 0);
    config_free(c);
    c = loaded(SETUP(.words = {"--metrics-host", "0.0.0.0", "--max-connections", "5",
                               "--segment-size", "2000000", "--retention-ms", "4000"}));
    struct topic_config t;
    topic_config_make(c, NULL, 0, &t);
    expect_str(c->metrics_host, "0.0.0.0");
    expect_eq(c->max_connections, 5);
    expect_eq(t.segment_bytes, 2000000);
    expect_eq(t.retention_ms, 4000);
    config_free(c);
}

void test_options_that_are_accepted(void)
{
    struct config *c = loaded(SETUP(.words = {"--enable-replication", "--enable-consumer-groups",
                                              "--recovery-mode", "--acl-allow-everyone"}));
    expect(c->recovery_report);
    config_free(c);
    c = loaded(SETUP(.words = {"--enable-replication"}));
    expect(!c->recovery_report);
    config_free(c);
}

void test_options_that_are_refused(void)
{
    expect_refused(SETUP(.words = {"--enable-tls"}), OUT_UNSUPPORTED, "--enable-tls: TLS");
    expect_refused(SETUP(.words = {"--peers", "a:1"}), OUT_UNSUPPORTED, "--peers");
    expect_refused(SETUP(.words = {"--enable-acl"}), OUT_UNSUPPORTED, "not in this version");
    expect_refused(SETUP(.words = {"--prot", "1"}), OUT_INVALID, "unknown option --prot");
    expect_refused(SETUP(.words = {"--port"}), OUT_INVALID, "--port needs a value: PORT");
    expect_refused(SETUP(.words = {"--port", "70000"}), OUT_INVALID, "no port from 0 to 65535");
    expect_refused(SETUP(.words = {"--port="}), OUT_INVALID, "no port from 0 to 65535");
    expect_refused(SETUP(.words = {"--broker-id", "x"}), OUT_INVALID, "--broker-id: ");
    expect_refused(SETUP(.words = {"--segment-size", "9"}), OUT_INVALID, "[1048576,...]");
    expect_refused(SETUP(.words = {"--data-dir", "/a,/b,/a"}), OUT_INVALID, "twice");
    expect_refused(SETUP(.words = {"--data-dir", "/a,,/b"}), OUT_INVALID, "log.dirs");
    expect_refused(SETUP(.words = {"--data-dir="}), OUT_INVALID, "log.dirs");
}

void test_a_sentence_has_no_error_of_somebody_else_in_it(void)
{
    struct config *c;
    errno = ENOENT;
    expect_eq(load(SETUP(.words = {"--prot"}), &c), OUT_INVALID);
    expect(strstr(outcome_trail(), strerror(ENOENT)) == NULL);
}

void test_a_wrong_log_level_lists_the_right_ones(void)
{
    expect_refused(SETUP(.words = {"--log-level", "loud"}), OUT_INVALID,
                   "loud is no log level: use trace, debug, info, warn or error");
    expect_refused(SETUP(.environment = {"FLUXMQ_LOG_LEVEL=loud"}), OUT_INVALID,
                   "[trace, debug, info, warn, error]");
}

void test_precedence(void)
{
    const char *file = "num.partitions=2\nlog.level=error\nmax.connections=10\n"
                       "listeners=PLAINTEXT://127.0.0.1:1111\n";
    struct config *c = loaded(SETUP(
        .words = {"--config", "FILE", "--max-connections", "30", "--port", "3333"}, .file = file,
        .environment = {"FLUXMQ_NUM_PARTITIONS=20", "FLUXMQ_MAX_CONNECTIONS=20",
                        "FLUXMQ_PORT=2222"}));
    expect_eq(c->max_connections, 30);  /* option */
    expect_eq(c->num_partitions, 20);   /* environment */
    expect_eq(c->log_level, 4);         /* file */
    expect_eq(c->group_max_session_timeout_ms, 1800000); /* default */
    expect_eq(c->listeners[0].port, 3333);
    expect_str(c->listeners[0].host, "127.0.0.1"); /* as the file has it */
    expect_eq(source_of(c, "max.connections"), CONFIG_FROM_STATIC);
    expect_eq(source_of(c, "group.max.session.timeout.ms"), CONFIG_FROM_DEFAULT);
    config_free(c);
}

void test_environment(void)
{
    struct config *c = loaded(SETUP(.environment = {
        "PATH=/bin", "FLUXMQ_DATA_DIR=/d", "FLUXMQ_LOG_SEGMENT_BYTES=3000000", "NONSENSE",
        "FLUXMQ_HOST=127.0.0.9", "FLUXMQ_FLUSH_MODE= none ", "FLUXMQ_LOG_RETENTION_HOURS=2"}));
    struct topic_config t;
    topic_config_make(c, NULL, 0, &t);
    expect_str(c->data_dir, "/d");
    expect_eq(t.segment_bytes, 3000000);
    expect_eq(t.retention_ms, 7200000);
    expect_str(c->listeners[0].host, "127.0.0.9");
    expect_eq(c->listeners[0].port, 9092);
    expect_eq(c->flush_mode, FLUSH_MODE_NONE); /* a value is trimmed like in a file */
    config_free(c);
    expect_refused(SETUP(.environment = {"FLUXMQ_NUM_PARTITION=3"}), OUT_NOT_FOUND,
                   "FLUXMQ_NUM_PARTITION: unknown setting num.partition; did you mean "
                   "num.partitions?");
    expect_refused(SETUP(.environment = {"FLUXMQ_NUM_PARTITIONS=0"}), OUT_INVALID,
                   "FLUXMQ_NUM_PARTITIONS: ");
}

void test_several_log_directories(void)
{
    struct config *c = from_file("log.dirs=/one, /two/2 ,/three\n");
    expect_eq(c->log_dir_count, 3);
    expect_str(c->log_dirs[0], "/one");
    expect_str(c->log_dirs[1], "/two/2");
    expect_str(c->log_dirs[2], "/three");
    expect_str(c->data_dir, "/one");
    config_free(c);
    c = from_file("log.dirs=/one,/two\nmetadata.log.dir=/meta\n");
    expect_eq(c->log_dir_count, 2);
    expect_str(c->data_dir, "/meta");
    config_free(c);
}

void test_data_dir_of_option_file_and_environment(void)
{
    struct config *c = loaded(SETUP(.words = {"--data-dir", "/o"},
                                    .environment = {"FLUXMQ_DATA_DIR=/e"}));
    expect_str(c->data_dir, "/o");
    config_free(c);
    c = loaded(SETUP(.environment = {"FLUXMQ_LOG_DIR=/one"}));
    expect_str(c->data_dir, "/one");
    config_free(c);
    c = from_file("log.dir=/tmp/kafka-logs\n"); /* said, though it is Kafka's default */
    expect_str(c->data_dir, "/tmp/kafka-logs");
    config_free(c);
    c = from_file("log.dir=/one\nlog.dirs=/two\n");
    expect_str(c->data_dir, "/two");
    config_free(c);
    c = from_file("num.partitions=5\n");
    expect_data_here(c);
    config_free(c);
}

void test_config_file_from_the_environment(void)
{
    write_file("num.partitions=8\n");
    char variable[96];
    snprintf(variable, sizeof variable, "FLUXMQ_CONFIG=%s", file_path);
    struct config *c = loaded(SETUP(.environment = {variable}));
    expect_eq(c->num_partitions, 8);
    expect(c->file_given);
    config_free(c);
    expect(unlink(file_path) == 0);
}

void test_rust_log(void)
{
    static const struct {
        const char *value;
        int level;
    } rows[] = {{"RUST_LOG=debug", 1}, {"RUST_LOG=WARN", 3}, {"RUST_LOG=fluxmq=trace", 0},
                {"RUST_LOG=hyper,fluxmq=error", 4}, {"RUST_LOG=", 2}, {"RUST_LOG=off", 2}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config *c = loaded(SETUP(.environment = {rows[i].value}));
        expect_eq(c->log_level, rows[i].level);
        config_free(c);
    }
    struct config *c = loaded(SETUP(.environment = {"FLUXMQ_LOG_LEVEL=error", "RUST_LOG=debug"}));
    expect_eq(c->log_level, 4);
    config_free(c);
    c = loaded(SETUP(.words = {"-l", "warn"}, .environment = {"RUST_LOG=debug"}));
    expect_eq(c->log_level, 3);
    config_free(c);
}

void test_variables_of_a_kubernetes_service_are_no_settings(void)
{
    struct config *c = loaded(SETUP(.environment = {
        "FLUXMQ_PORT=tcp://10.0.0.1:9092", "FLUXMQ_SERVICE_HOST=10.0.0.1",
        "FLUXMQ_SERVICE_PORT=9092", "FLUXMQ_SERVICE_PORT_KAFKA=9092",
        "FLUXMQ_PORT_9092_TCP=tcp://10.0.0.1:9092", "FLUXMQ_PORT_9092_TCP_PROTO=tcp"}));
    expect_eq(c->listeners[0].port, 9092);
    expect_str(c->listeners[0].host, "");
    config_free(c);
}

void test_three_partitions_by_options_one_by_a_file(void)
{
    struct config *c = loaded(SETUP(.words = {"--port", "1"}));
    expect_eq(c->num_partitions, 3);
    config_free(c);
    c = from_file("max.connections=9\n");
    expect_eq(c->num_partitions, 1);
    config_free(c);
}

/* stdout of --help or --version. */
static void expect_printed(const char *word, const char *part)
{
    char *words[] = {(char *)(uintptr_t)"fluxmq", (char *)(uintptr_t)word, NULL}, said[16384];
    int ends[2];
    struct config *c;
    enum config_action action;
    expect(pipe(ends) == 0);
    fflush(stdout);
    int kept = dup(1);
    expect(dup2(ends[1], 1) == 1);
    enum outcome o = config_load(2, words, NULL, &c, &action);
    fflush(stdout);
    expect(dup2(kept, 1) == 1 && close(ends[1]) == 0);
    ssize_t size = read(ends[0], said, sizeof said - 1);
    expect_eq(o, OUT_OK);
    expect_eq(action, CONFIG_EXIT);
    expect(size > 0);
    said[size] = '\0';
    expect(strstr(said, part) != NULL);
    config_free(c);
}

void test_help_and_version(void)
{
    expect_printed("--help", "-p, --port PORT");
    expect_printed("-h", "--data-dir DIR");
    expect_printed("--version", "fluxmq " FLUXMQ_VERSION "\n");
    expect_printed("-V", "fluxmq " FLUXMQ_VERSION "\n");
}
