/* SPDX-License-Identifier: MIT */
/*
 * Finding a record by time: the first segment that reaches the timestamp, its time index, then the
 * batches behind that entry, then the records of the first batch that reaches it, decompressed when
 * need be. Reads the disk; one walk over at most one index interval and one batch in the usual
 * case.
 */
#include "log/partition.h"

#define INFLATE_MAX MiB(256) /* a batch that decompresses to more is passed over */

enum outcome log_segment_newest(struct log *l, struct segment *s, int64_t *timestamp)
{
    struct body *body;
    *timestamp = atomic_load(&s->max_timestamp);
    if (*timestamp != TIME_UNKNOWN)
        return OUT_OK;
    enum outcome o = segment_body(l, s, &body);
    if (o != OUT_OK)
        return o;
    uint32_t count = index_count(&body->times);
    *timestamp = count == 0 ? -1 : index_time(&body->times, count - 1);
    atomic_store(&s->max_timestamp, *timestamp);
    return OUT_OK;
}

/* The first record of the batch at or after both; a control batch counts like any other. */
enum outcome log_seek_batch(const struct log_batch *b, int64_t timestamp, int64_t start_offset,
                            struct store_place *place)
{
    struct log_records walk;
    struct log_record r;
    enum outcome o = log_records_begin(&walk, b, INFLATE_MAX);
    while (o == OUT_OK && (o = log_records_next(&walk, &r)) == OUT_OK) {
        if (r.timestamp >= timestamp && r.offset >= start_offset) {
            *place = (struct store_place){r.offset, r.timestamp, b->leader_epoch};
            break;
        }
    }
    log_records_fini(&walk);
    return o == OUT_NO_MEMORY ? o : OUT_OK;
}

/* place->offset stays -1 when the segment has no such record. */
static enum outcome seek_segment(struct log *l, struct segment *s, int64_t timestamp,
                                 int64_t start_offset, struct store_place *place)
{
    struct body *body;
    struct log_batch b;
    struct scan scan;
    uint32_t i;
    uint64_t position = 0, size = atomic_load_explicit(&s->size, memory_order_acquire);
    enum outcome o = segment_body(l, s, &body);
    if (o != OUT_OK)
        return o;
    int64_t from = start_offset;
    if (index_find_time(&body->times, timestamp, &i))
        from = MAX(from, s->base_offset + index_relative(&body->times, i));
    o = segment_find(body, l->io, s, size, from, &position, &b);
    if (o != OUT_OK)
        return o == OUT_END ? OUT_OK : o;
    scan_init(&scan, l->io, body->fd, position, size);
    while (place->offset < 0 && (o = scan_next(&scan, &b)) == OUT_OK) {
        if (b.max_timestamp < timestamp || b.last_offset < start_offset)
            continue;
        o = log_seek_batch(&b, timestamp, start_offset, place);
        if (o != OUT_OK)
            break;
    }
    scan_fini(&scan);
    return o == OUT_IO || o == OUT_NO_MEMORY ? o : OUT_OK;
}

static enum outcome seek_time(struct log *l, int64_t timestamp, struct store_place *place)
{
    enum outcome o = OUT_OK;
    int64_t start = atomic_load(&l->start_offset);
    struct segment *s = segments_hold_at(l, start);
    if (s == NULL)
        s = segments_hold_after(l, start);
    while (s != NULL) {
        int64_t largest;
        o = log_segment_newest(l, s, &largest);
        if (o == OUT_OK && largest >= timestamp)
            o = seek_segment(l, s, timestamp, start, place);
        bool on = o == OUT_OK && place->offset < 0;
        struct segment *next = on ? segments_hold_next(l, s, start) : NULL;
        store_hold_drop(&s->hold);
        s = next;
    }
    return o;
}

/* The largest timestamp of all records at or after the start. */
static enum outcome largest_timestamp(struct log *l, int64_t *timestamp)
{
    enum outcome o = OUT_OK;
    int64_t start = atomic_load(&l->start_offset);
    *timestamp = -1;
    struct segment *s = segments_hold_at(l, start);
    if (s == NULL)
        s = segments_hold_after(l, start);
    while (s != NULL && o == OUT_OK) {
        int64_t largest;
        o = log_segment_newest(l, s, &largest);
        *timestamp = MAX(*timestamp, largest);
        struct segment *next = o == OUT_OK ? segments_hold_next(l, s, start) : NULL;
        store_hold_drop(&s->hold);
        s = next;
    }
    return o;
}

enum outcome log_seek_op(struct store *store, int64_t timestamp, struct store_place *place)
{
    struct log *l = log_of(store);
    *place = (struct store_place){-1, -1, -1};
    if (atomic_load(&l->offline))
        return OUT_OFFLINE;
    if (timestamp == STORE_LATEST) {
        place->offset = atomic_load(&l->end_offset);
        place->leader_epoch = log_epoch_latest(l);
        return OUT_OK;
    }
    if (timestamp == STORE_EARLIEST) {
        place->offset = atomic_load(&l->start_offset);
        place->leader_epoch = log_epoch_at(l, place->offset);
        return OUT_OK;
    }
    enum outcome o = OUT_OK;
    if (timestamp == STORE_MAX_TIMESTAMP) {
        o = largest_timestamp(l, &timestamp);
        if (o != OUT_OK || timestamp < 0)
            return o;
    }
    return seek_time(l, timestamp, place);
}
