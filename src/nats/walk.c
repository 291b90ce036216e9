/* SPDX-License-Identifier: MIT */
/*
 * Reading records of a partition for people who ask for them: what consumers with read_committed
 * would see, one record after the other, off a mapped view of the log.
 */
#include "nats/api.h"

#define READ_BYTES KiB(256)
#define RECORDS_MAX MiB(64) /* a batch unpacked */

/* Whether a batch is of a transaction that was aborted. */
bool nats_batch_aborted(struct partition *p, const struct log_batch *b, struct arena *arena)
{
    struct log_aborted *list;
    size_t count = 0;
    if (!(b->attributes & LOG_ATTR_TXN) ||
        partition_aborted(p, b->base_offset, b->last_offset + 1, arena, &list, &count) != OUT_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (list[i].producer_id == b->producer_id && list[i].first_offset <= b->base_offset)
            return true;
    }
    return false;
}

struct walk {
    struct partition *partition;
    int64_t at;
    bool stopped;
    enum nats_walk (*each)(void *context, const struct log_record *r);
    void *context;
};

static void walk_batch(struct walk *w, const struct log_batch *b)
{
    struct log_records records;
    struct log_record r;
    enum outcome o = log_records_begin(&records, b, RECORDS_MAX);
    while (o == OUT_OK && !w->stopped && (o = log_records_next(&records, &r)) == OUT_OK) {
        if (r.offset < w->at)
            continue;
        w->stopped = w->each(w->context, &r) == NATS_WALK_STOP;
        w->at = r.offset + 1;
    }
    log_records_fini(&records);
}

static void walk_view(struct walk *w, const struct store_view *view)
{
    struct bytes rest = bytes_view(view->at, view->size);
    struct log_batch b;
    struct arena arena;
    arena_init(&arena, MiB(1));
    while (!w->stopped && log_batch_next(&rest, &b) == OUT_OK) {
        if (!(b.attributes & LOG_ATTR_CONTROL) &&
            !nats_batch_aborted(w->partition, &b, &arena))
            walk_batch(w, &b);
        if (!w->stopped)
            w->at = MAX(w->at, b.last_offset + 1);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

int64_t nats_walk(struct partition *p, int64_t from, size_t bytes, int64_t *end,
                  enum nats_walk (*each)(void *context, const struct log_record *r),
                  void *context)
{
    struct walk w = {.partition = p, .at = from, .each = each, .context = context};
    struct store_stat stat;
    for (size_t seen = 0; !w.stopped && seen < bytes;) {
        struct store_view view;
        store_stat(p->store, &stat);
        int64_t before = w.at = MAX(w.at, stat.start_offset);
        struct store_read what = {.offset = w.at, .limit_offset = stat.stable_offset,
                                  .max_bytes = READ_BYTES, .map = STORE_MAPPED};
        if (w.at >= stat.stable_offset || store_read(p->store, &what, &view) != OUT_OK)
            break;
        if (view.size > 0)
            walk_view(&w, &view);
        seen += view.size;
        store_hold_drop(view.hold);
        if (w.at == before)
            break; /* nothing that could be read */
    }
    store_stat(p->store, &stat);
    *end = stat.stable_offset;
    return w.at;
}
