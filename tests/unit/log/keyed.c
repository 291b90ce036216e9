/* SPDX-License-Identifier: MIT */
/*
 * keyed DIR fill SEED COUNT     appends keyed records of all kinds to the partition in DIR
 * keyed DIR compact FIRST       compacts it from the offset on, prints where it is clean up to
 * For tests that have a real Kafka do the same with a copy.
 */
#include "helper.h"

#include <time.h>

#define PRODUCERS 4 /* the last two are transactional */
#define KEYS 700

static struct store_append a = {.leader_epoch = 0};
static struct store_appended done;
static int64_t now_ms;

static void must(enum outcome o, const char *what)
{
    if (o == OUT_OK)
        return;
    fprintf(stderr, "%s: %s %s\n", what, outcome_name(o), outcome_trail());
    exit(1);
}

static void send(struct log *l, struct log_builder *b, const struct log_builder_end *end,
                 enum store_origin origin)
{
    a.origin = origin;
    a.now_ms = now_ms;
    must(log_builder_finish(b, end, &a.at, &a.size), "build");
    must(store_append(log_store(l), &a, &done), "append");
    log_builder_reset(b);
}

static void add_records(struct log_builder *b, int count)
{
    static char value[500];
    memset(value, 'v', sizeof value);
    for (int k = 0; k < count; k++) {
        char key[32];
        struct log_header h = {bytes_of("header"), bytes_of("x")};
        snprintf(key, sizeof key, "key-%d", (int)random_below(KEYS));
        struct bytes text = random_below(6) == 0 ? bytes_view(NULL, 0)
                                                 : bytes_view(value, random_below(sizeof value));
        log_builder_add(b, now_ms + (int64_t)random_below(1000), bytes_of(key), text, &h,
                        random_below(3) == 0);
    }
}

static void fill(struct log *l, uint64_t seed, int count, struct log_options *o)
{
    static const enum log_codec codecs[] = {LOG_CODEC_PRODUCER, LOG_GZIP, LOG_SNAPPY, LOG_LZ4,
                                            LOG_ZSTD};
    struct log_builder b;
    int32_t sequences[PRODUCERS] = {0};
    bool open[PRODUCERS] = {false};
    log_builder_init(&b, MiB(4));
    for (int i = 0; i < count; i++) {
        struct log_builder_end end = log_builder_plain();
        int who = (int)random_below(PRODUCERS + 2) - 2, records = 1 + (int)random_below(12);
        if (i % 100 == 0) {
            o->compression = codecs[random_below(COUNT_OF(codecs))];
            must(log_configure(l, o), "configure");
        }
        if (who >= 0) {
            end.producer_id = (int64_t)(seed * 100) + who;
            end.producer_epoch = 0;
            end.base_sequence = sequences[who];
            sequences[who] += records;
        }
        if (who >= PRODUCERS - 2) {
            end.attributes = LOG_ATTR_TXN;
            open[who] = true;
        }
        add_records(&b, records);
        send(l, &b, &end, STORE_CLIENT);
        for (int k = PRODUCERS - 2; k < PRODUCERS; k++) {
            if (!open[k] || (random_below(8) != 0 && i + 1 < count))
                continue;
            end = log_builder_plain();
            end.producer_id = (int64_t)(seed * 100) + k;
            end.producer_epoch = 0;
            log_builder_marker(&b, now_ms,
                               random_below(2) ? LOG_MARKER_ABORT : LOG_MARKER_COMMIT, 0);
            send(l, &b, &end, STORE_COORDINATOR);
            open[k] = false;
        }
    }
    log_builder_fini(&b);
    must(log_roll(l, now_ms), "roll");
}

static int64_t compact(struct log *l, int64_t first)
{
    struct log_dirt d;
    struct log_compacted c;
    must(log_dirt(l, first, now_ms, &d), "dirt");
    struct log_compact what = {.first_dirty = d.first_dirty, .end = d.end, .now_ms = now_ms,
                               .key_bytes = MiB(64), .key_load = 0.9};
    must(log_compact(l, &what, &c), "compact");
    return c.next_dirty;
}

int main(int argc, char **argv)
{
    struct log *l;
    struct timespec now;
    if (argc < 4)
        return 2;
    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (int64_t)now.tv_sec * 1000;
    struct log_open open = {.path = argv[1], .was = LOG_UNCLEAN, .now_ms = now_ms};
    log_options_default(&open.options);
    open.options.cleanup_delete = false;
    open.options.cleanup_compact = true;
    open.options.segment_bytes = MiB(1);
    open.options.delete_retention_ms = 1000;
    open.options.producer_expiration_ms = INT32_MAX;
    must(log_open(&open, &l), "open");
    if (strcmp(argv[2], "fill") == 0) {
        uint64_t seed = strtoull(argv[3], NULL, 10);
        random_state = (seed + 1) * 0x9e3779b97f4a7c15u;
        fill(l, seed, argc < 5 ? 1000 : (int)strtol(argv[4], NULL, 10), &open.options);
    } else {
        printf("%lld\n", (long long)compact(l, strtoll(argv[3], NULL, 10)));
    }
    must(log_close(&l, LOG_CLEAN), "close");
    return 0;
}
