/* SPDX-License-Identifier: MIT */
/* Writes partitions with all kinds of batches into DIR, for Kafka's own dump tool to look at. */
#include "helper.h"

static struct log_builder b;
static struct store_append a = {.now_ms = NOW, .leader_epoch = 2};
static struct store_appended done;

static void must(enum outcome o, const char *what)
{
    if (o == OUT_OK)
        return;
    fprintf(stderr, "%s: %s %s\n", what, outcome_name(o), outcome_trail());
    exit(1);
}

static void send(struct log *l, const struct log_builder_end *end, enum store_origin origin)
{
    a.origin = origin;
    must(log_builder_finish(&b, end, &a.at, &a.size), "build");
    must(store_append(log_store(l), &a, &done), "append");
    log_builder_reset(&b);
}

static void plain_records(int i, int count)
{
    static char value[900];
    struct log_header h = {bytes_of("header"), i % 2 ? bytes_of("x") : bytes_view(NULL, 0)};
    memset(value, 'v', sizeof value);
    for (int k = 0; k < count; k++) {
        struct bytes key = k % 4 ? bytes_of("key") : bytes_view(NULL, 0);
        struct bytes text = k % 5 ? bytes_view(value, (size_t)(i % 900)) : bytes_view(NULL, 0);
        log_builder_add(&b, NOW + i * 10 + k, key, text, &h, i % 3 == 0);
    }
}

static void fill(struct log *l, struct log_options *o)
{
    struct log_builder_end end = log_builder_plain();
    for (int i = 0; i < 400; i++) {
        o->compression = (enum log_codec)(i % 6);
        must(log_configure(l, o), "configure");
        plain_records(i, 1 + i % 7);
        send(l, &end, STORE_CLIENT);
        if (i == 200)
            must(log_epoch_begin(l, 5), "epoch");
        a.leader_epoch = i < 200 ? 2 : 5;
    }
}

static void transactions(struct log *l)
{
    for (int i = 0; i < 30; i++) {
        struct log_builder_end end = {.producer_id = i % 4, .producer_epoch = (int16_t)(i / 4),
                                      .attributes = LOG_ATTR_TXN};
        plain_records(i, 3);
        send(l, &end, STORE_CLIENT);
        end.base_sequence = -1;
        log_builder_marker(&b, NOW + i * 10, i % 2 ? LOG_MARKER_COMMIT : LOG_MARKER_ABORT, 1);
        end.attributes = 0;
        send(l, &end, STORE_COORDINATOR);
    }
}

int main(int argc, char **argv)
{
    char path[512];
    struct log *l;
    struct log_open open = {.path = path, .now_ms = NOW, .topic_id = uuid_random()};
    if (argc != 2)
        return 2;
    log_builder_init(&b, MiB(1));
    log_options_default(&open.options);
    open.options.segment_bytes = 60000;
    open.options.index_interval_bytes = 500;
    snprintf(path, sizeof path, "%s/sample-0", argv[1]);
    must(log_open(&open, &l), "open");
    must(log_epoch_begin(l, 2), "epoch");
    fill(l, &open.options);
    must(log_close(&l, LOG_CLEAN), "close");
    snprintf(path, sizeof path, "%s/sample-1", argv[1]);
    must(log_open(&open, &l), "open");
    transactions(l);
    must(log_close(&l, LOG_UNCLEAN), "close");
    must(log_open(&open, &l), "open again"); /* after a crash: rebuilt files */
    must(log_close(&l, LOG_CLEAN), "close");
    log_builder_fini(&b);
    return 0;
}
