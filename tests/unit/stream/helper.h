/* SPDX-License-Identifier: MIT */
/* What the stream's tests share, on top of the log's helper. */
#ifndef STREAM_HELPER_H
#define STREAM_HELPER_H

#include "../log/helper.h"
#include "stream/stream.h"

__attribute__((unused)) static struct stream_options stream_defaults(void)
{
    struct stream_options o = {.retention_records = -1};
    log_options_default(&o.batches);
    o.batches.retention_ms = o.batches.retention_bytes = -1;
    return o;
}

__attribute__((unused)) static struct stream *stream_open(const struct stream_options *o)
{
    struct stream *s;
    struct stream_options standard = stream_defaults();
    expect_eq(stream_new(o == NULL ? &standard : o, &s), OUT_OK);
    return s;
}

__attribute__((unused)) static enum outcome stream_put(struct stream *s, uint8_t *at, size_t size,
                                                       int64_t now_ms, struct store_appended *done)
{
    struct store_append a = {.at = at, .size = size, .origin = STORE_CLIENT, .now_ms = now_ms};
    return store_append(stream_store(s), &a, done);
}

/* Appends one batch (the log helper's), returns its base offset. */
__attribute__((unused)) static int64_t stream_add(struct stream *s, uint32_t tag, int count,
                                                  size_t value_size)
{
    static struct log_builder b = {.limit = MiB(64), .size = LOG_BATCH_HEADER};
    struct store_appended done;
    uint8_t *at;
    size_t size = build(&b, tag, count, value_size, &at);
    expect_eq(stream_put(s, at, size, NOW + tag, &done), OUT_OK);
    expect_eq(done.last_offset, done.base_offset + count - 1);
    return done.base_offset;
}

__attribute__((unused)) static struct store_stat stream_stat(struct stream *s)
{
    struct store_stat st;
    store_stat(stream_store(s), &st);
    return st;
}

/* The batch at an offset; the view is held. */
__attribute__((unused)) static struct store_view stream_view(struct stream *s, int64_t offset,
                                                             struct log_batch *b)
{
    struct store_view v;
    struct store_read r = {.offset = offset, .limit_offset = INT64_MAX, .max_bytes = 0};
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect(v.size > 0 && v.size == v.first_size && v.fd == -1 && v.hold != NULL);
    struct bytes rest = {v.at, v.size};
    expect_eq(log_batch_next(&rest, b), OUT_OK);
    expect(log_batch_crc_good(b) && rest.size == 0);
    expect(b->base_offset <= offset && b->last_offset >= offset);
    return v;
}

#endif
