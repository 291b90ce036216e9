/* SPDX-License-Identifier: MIT */
/*
 * Segments that an old Kafka left, with messages of magic 0 and 1 in them, are recovered, read,
 * searched, appended to and compacted as they are: what a Kafka 4.3.1 does with the same file.
 */
#include "helper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define T INT64_C(1700000000000)

struct place {
    char base[200], dir[220];
    struct log *log;
};

/* A partition whose only segment has these bytes. */
static void open_with(struct place *p, struct bytes segment, bool compacted)
{
    char path[260];
    const char *tmp = getenv("TMPDIR");
    snprintf(p->base, sizeof p->base, "%s/fluxmq-legacy-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    expect(mkdtemp(p->base) != NULL);
    snprintf(p->dir, sizeof p->dir, "%s/t-0", p->base);
    expect(mkdir(p->dir, 0700) == 0);
    snprintf(path, sizeof path, "%s/00000000000000000000.log", p->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    expect(fd >= 0 && write(fd, segment.at, segment.size) == (ssize_t)segment.size);
    close(fd);
    struct log_open what = {.path = p->dir, .now_ms = T + 1000000, .was = LOG_UNCLEAN};
    log_options_default(&what.options);
    what.options.retention_ms = -1;
    what.options.cleanup_compact = compacted;
    what.options.cleanup_delete = !compacted;
    what.options.file_delete_delay_ms = 0;
    expect_eq(log_open(&what, &p->log), OUT_OK);
}

static void finish(struct place *p)
{
    char command[260];
    expect_eq(log_close(&p->log, LOG_CLEAN), OUT_OK);
    snprintf(command, sizeof command, "rm -rf '%s'", p->base);
    expect(system(command) == 0);
}

static struct store_view view_at(struct place *p, int64_t offset)
{
    struct store_view v;
    struct store_read what = {.offset = offset, .limit_offset = INT64_MAX, .max_bytes = MiB(1),
                              .least = STORE_WHOLE_BATCH, .map = STORE_MAPPED};
    expect_eq(store_read(log_store(p->log), &what, &v), OUT_OK);
    return v;
}

static uint8_t *mixed(size_t *size)
{
    gzFile f = vectors_open("message-sets.jsonl.gz");
    json_t *line;
    uint8_t *at = NULL;
    while ((line = vectors_next(f)) != NULL) {
        if (at == NULL && strcmp(text_of(line, "name"), "mixed") == 0)
            at = unhex(text_of(line, "stored"), size);
        json_decref(line);
    }
    gzclose(f);
    expect(at != NULL);
    return at;
}

/* Magic 0 up to offset 0, a wrapper of magic 1 with 1, 3 and 14, then batches. */
void test_a_segment_of_all_formats_is_recovered_and_read(void)
{
    static const struct {
        int64_t timestamp, offset, found;
    } seeks[] = {{T, 1, T}, {T + 5, 3, T + 5}, {T + 6, 46, T + 1000}, {T + 12345, 58, T + 13000},
                 {INT64_C(4102444800000), -1, -1}};
    static const int64_t first[][2] = {{0, 0}, {1, 14}, {2, 14}, {14, 14}, {21, 20}};
    struct place p;
    struct store_place at;
    struct store_stat stat;
    struct log_recovered r;
    size_t size = 0;
    uint8_t *bytes = mixed(&size);
    open_with(&p, (struct bytes){bytes, size}, false);
    log_recovered(p.log, &r);
    expect_eq(r.bytes_truncated, 0);
    store_stat(log_store(p.log), &stat);
    expect(stat.start_offset == 0 && stat.end_offset == 205);
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        struct store_view v = view_at(&p, first[i][0]);
        expect_eq(get_be64(v.at), first[i][1]);
        expect(memcmp(v.at, bytes + size - v.size, v.size) == 0);
        store_hold_drop(v.hold);
    }
    for (size_t i = 0; i < COUNT_OF(seeks); i++) {
        expect_eq(store_seek(log_store(p.log), seeks[i].timestamp, &at), OUT_OK);
        expect_eq(at.offset, seeks[i].offset);
        expect_eq(at.timestamp, seeks[i].found);
    }
    free(bytes);
    finish(&p);
}

static void append(struct place *p, const char *key, const char *value, int64_t offset)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = T};
    struct store_appended done;
    log_builder_init(&b, MiB(1));
    log_builder_add(&b, T, bytes_of(key), bytes_of(value), NULL, 0);
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(p->log), &a, &done), OUT_OK);
    expect_eq(done.base_offset, offset);
    log_builder_fini(&b);
}

/* Keys and offsets of all records: "a0 b1 ". */
static void list(struct place *p, char *to, size_t room)
{
    struct store_view v = view_at(p, 0);
    struct bytes rest = {v.at, v.size};
    struct log_batch b;
    size_t used = 0;
    to[0] = '\0';
    while (log_batch_next(&rest, &b) == OUT_OK) {
        struct log_records walk;
        struct log_record r;
        expect(log_batch_crc_good(&b));
        expect_eq(log_records_begin(&walk, &b, MiB(1)), OUT_OK);
        while (log_records_next(&walk, &r) == OUT_OK)
            used += (size_t)snprintf(to + used, room - used, "%.*s%d ", (int)r.key.size,
                                     (const char *)r.key.at, (int)r.offset);
        log_records_fini(&walk);
    }
    store_hold_drop(v.hold);
}

void test_old_messages_are_compacted(void)
{
    struct made segment = {NULL, 0}, inner = {NULL, 0};
    struct place p;
    char text[100];
    make(&segment, (struct shape){0, 0, 0, 0, bytes_of("a"), bytes_of("0")});
    make(&segment, (struct shape){1, 0, 1, T, bytes_of("b"), bytes_of("1")});
    for (int64_t i = 0; i < 3; i++)
        make(&inner, (struct shape){1, 0, i, T + i, bytes_of(i == 1 ? "c" : "d"), bytes_of("x")});
    wrap(&segment, 1, LOG_GZIP, 4, &inner);
    open_with(&p, (struct bytes){segment.at, segment.size}, true);
    append(&p, "a", "new", 5);
    list(&p, text, sizeof text);
    expect_str(text, "a0 b1 d2 c3 d4 a5 ");
    expect_eq(log_roll(p.log, T), OUT_OK);
    append(&p, "e", "active", 6);
    struct log_dirt dirt;
    struct log_compacted done;
    expect_eq(log_dirt(p.log, 0, T + 2000000, &dirt), OUT_OK);
    struct log_compact what = {.ttl_ms = -1, .first_dirty = dirt.first_dirty, .end = dirt.end,
                               .now_ms = T + 2000000, .key_bytes = MiB(1), .key_load = 0.9};
    expect_eq(log_compact(p.log, &what, &done), OUT_OK);
    expect_eq(done.invalid, 0);
    list(&p, text, sizeof text);
    expect_str(text, "b1 c3 d4 a5 ");
    finish(&p);
    made_fini(&segment);
    made_fini(&inner);
}
