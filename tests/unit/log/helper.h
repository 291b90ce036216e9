/* SPDX-License-Identifier: MIT */
/* What the log's tests share: scratch directories, batches with known records, short calls. */
#ifndef LOG_HELPER_H
#define LOG_HELPER_H

#include "log/log.h"
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#define NOW INT64_C(1700000000000)

struct scratch {
    char dir[256]; /* of the partition */
    char base[200];
    struct log *log;
    struct log_open open;
};

static uint64_t random_state = 88172645463325252u;

__attribute__((unused)) static uint64_t random_below(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* A shell command in directory `dir` that must succeed. */
__attribute__((unused)) static void shell(const char *dir, const char *what)
{
    char command[2048];
    snprintf(command, sizeof command, "cd '%s' && { %s; }", dir, what);
    expect(system(command) == 0);
}

__attribute__((unused)) static void scratch_end(void);
static char scratch_base[200];

static void scratch_end(void)
{
    char command[256];
    if (scratch_base[0] == '\0')
        return;
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_base);
    if (system(command) != 0)
        printf("# could not remove %s\n", scratch_base);
}

/* A fresh directory, removed at the end of the case; the log is not opened yet. */
__attribute__((unused)) static void scratch_init(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    memset(s, 0, sizeof *s);
    snprintf(s->base, sizeof s->base, "%s/fluxmq-log-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    expect(mkdtemp(s->base) != NULL);
    memcpy(scratch_base, s->base, sizeof scratch_base);
    atexit(scratch_end);
    snprintf(s->dir, sizeof s->dir, "%s/t-0", s->base);
    s->open = (struct log_open){.path = s->dir, .now_ms = NOW, .was = LOG_UNCLEAN};
    log_options_default(&s->open.options);
    s->open.options.retention_ms = -1;
}

__attribute__((unused)) static void scratch_open(struct scratch *s)
{
    enum outcome o = log_open(&s->open, &s->log);
    if (o != OUT_OK)
        printf("# %s: %s\n", outcome_name(o), outcome_trail());
    expect_eq(o, OUT_OK);
}

__attribute__((unused)) static void scratch_close(struct scratch *s, enum log_shutdown how)
{
    expect_eq(log_close(&s->log, how), OUT_OK);
    s->open.was = how;
}

/* A batch of `count` records whose values hold `tag` and their number; timestamps NOW + tag. */
__attribute__((unused)) static size_t build(struct log_builder *b, uint32_t tag, int count,
                                            size_t value_size,
                                            uint8_t **at)
{
    static char value[KiB(64)];
    size_t size = 0;
    log_builder_reset(b);
    for (int i = 0; i < count; i++) {
        char key[32];
        int key_size = snprintf(key, sizeof key, "key-%u-%d", tag, i);
        memset(value, 'a' + i % 26, sizeof value);
        memcpy(value, &tag, MIN(value_size, sizeof tag));
        log_builder_add(b, NOW + tag, bytes_view(key, (size_t)key_size),
                        bytes_view(value, value_size), NULL, 0);
    }
    struct log_builder_end end = log_builder_plain();
    expect_eq(log_builder_finish(b, &end, at, &size), OUT_OK);
    return size;
}

__attribute__((unused)) static enum outcome put(struct log *l, uint8_t *at, size_t size,
                                                struct store_appended *done)
{
    struct store_append a = {.at = at, .size = size, .origin = STORE_CLIENT, .now_ms = NOW};
    return store_append(log_store(l), &a, done);
}

/* Appends one batch, returns its base offset. */
__attribute__((unused)) static int64_t append(struct log *l, uint32_t tag, int count,
                                              size_t value_size)
{
    static struct log_builder b = {.limit = MiB(64), .size = LOG_BATCH_HEADER};
    struct store_appended done;
    uint8_t *at;
    size_t size = build(&b, tag, count, value_size, &at);
    enum outcome o = put(l, at, size, &done);
    if (o != OUT_OK)
        printf("# %s: %s\n", outcome_name(o), outcome_trail());
    expect_eq(o, OUT_OK);
    return done.base_offset;
}

__attribute__((unused)) static struct store_stat stat_of(struct log *l)
{
    struct store_stat st;
    store_stat(log_store(l), &st);
    return st;
}

/* Reads a view's bytes; malloc'ed. */
__attribute__((unused)) static uint8_t *view_bytes(const struct store_view *v)
{
    uint8_t *to = malloc(v->size + 1);
    size_t got = 0;
    while (got < v->size) {
        ssize_t n = pread(v->fd, to + got, v->size - got, (off_t)(v->position + got));
        expect(n > 0);
        got += (size_t)n;
    }
    return to;
}

#endif
