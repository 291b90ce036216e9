/* SPDX-License-Identifier: MIT */
/*
 * Fetch 0 to 3: what is stored as record batches is read as message sets, magic 0 for versions 0
 * and 1, magic 1 for 2 and 3. Nothing but these versions comes here.
 *
 * Up to version 2 a partition's size is a hard bound: of a message that does not fit its beginning
 * is sent, so that the client sees that it has to ask for more. Batches that those formats can't
 * express (transaction markers, what compaction emptied) are passed over, with another read if
 * there is nothing else, since these clients count on finding a message where they stand.
 *
 * Converting is work for the reactor and takes memory, so that an answer is bounded by a few MiB.
 */
#include "kafka/fetch.h"

#include "legacy/legacy.h"

#include <stdlib.h>

#define HARD_SIZES_UP_TO 2
#define MAGIC_1_SINCE 2
#define READ_MAX MiB(1)   /* of stored bytes, unless one batch is larger */
#define ANSWER_MAX MiB(8) /* of all partitions, but for the last one's */
#define READS_MAX 4096    /* in search of something that can be expressed */
#define STUB_MAX 64

/* A message set and what keeps it until it is sent. */
struct kept_set {
    struct store_hold hold;
    struct legacy_set set;
};

static void release(struct store_hold *hold)
{
    struct kept_set *k = container_of(hold, struct kept_set, hold);
    legacy_set_fini(&k->set);
    free(k);
}

static struct kept_set *set_new(const struct call *c)
{
    struct kept_set *k = calloc(1, sizeof *k);
    if (k == NULL)
        return NULL;
    atomic_init(&k->hold.count, 1);
    k->hold.release = release;
    legacy_set_init(&k->set, c->version >= MAGIC_1_SINCE ? 1 : 0);
    return k;
}

/* Adds the whole batches of a view; *next is the offset behind them. A batch that can't be
 * converted ends the set before it, and is the answer when it comes first. */
static enum outcome convert(const struct store_view *v, int64_t from, struct legacy_set *set,
                            int64_t *next)
{
    struct bytes rest = {v->at, v->size};
    struct log_batch b;
    while (log_batch_next(&rest, &b) == OUT_OK) {
        enum outcome o = legacy_set_add(set, &b, from);
        if (o != OUT_OK)
            return set->size > 0 ? OUT_OK : o;
        *next = b.last_offset + 1;
    }
    return OUT_OK;
}

/* The beginning of a message that is larger than the client's `room`. */
static enum outcome put_stub(struct legacy_set *set, int64_t offset, size_t size, size_t room)
{
    uint8_t stub[STUB_MAX] = {0};
    put_be64(stub, (uint64_t)offset);
    put_be32(stub + 8, (uint32_t)MAX(size, (size_t)2 * STUB_MAX));
    return legacy_set_put(set, (struct bytes){stub, MIN(room, sizeof stub)});
}

/* What one partition's reading needs. */
struct reading {
    struct store_read what;
    size_t room;   /* the client's */
    bool hard;     /* what is larger than the room isn't sent */
    bool may_pass; /* nothing was sent yet: without a hard bound the first batch may be larger */
    struct legacy_set *set;
};

static enum outcome take(struct reading *g, const struct store_view *v, bool too_large,
                         size_t size, int64_t *next)
{
    if (v->size == 0)
        return OUT_OK;
    if (!too_large)
        return convert(v, g->what.offset, g->set, next);
    if (!g->hard || g->room == 0)
        return OUT_OK;
    return put_stub(g->set, g->what.offset, size, g->room);
}

/* One read, converted. *more: nothing in it can be sent, but what is behind it may. */
static enum outcome read_some(struct call *c, struct fetch_result *r, struct reading *g, bool *more)
{
    struct store_view view;
    bool cut = false;
    int64_t next = g->what.offset;
    *more = false;
    enum outcome o = store_read(r->partition->store, &g->what, &view);
    if (o != OUT_OK)
        return o;
    size_t first = view.first_size;
    bool too_large = first > g->room && !g->may_pass;
    if (r->expires && view.size > 0)
        o = log_view_thin(&view, r->ttl_ms, c->request->home->wall_ms, &cut);
    if (o == OUT_OK)
        o = take(g, &view, too_large, first, &next);
    store_hold_drop(view.hold);
    *more = o == OUT_OK && g->set->size == 0 && next > g->what.offset &&
            next < g->what.limit_offset;
    g->what.offset = next;
    return o;
}

static bool wants_zstd(const struct partition *p)
{
    const struct topic *t = view_topic(broker_view(), p->topic);
    return t != NULL && strcmp(t->config.compression_type, "zstd") == 0;
}

enum outcome fetch_read_old(struct call *c, struct fetch_state *s, struct fetch_result *r,
                            const struct store_read *what)
{
    bool hard = c->version <= HARD_SIZES_UP_TO, more = true;
    if (wants_zstd(r->partition))
        return OUT_UNSUPPORTED_COMPRESSION;
    if (s->bytes >= ANSWER_MAX) { /* the client comes again */
        s->must_answer = true;
        return OUT_OK;
    }
    struct kept_set *k = set_new(c);
    if (k == NULL)
        return OUT_NO_MEMORY;
    struct reading g = {.what = *what, .hard = hard, .may_pass = !hard && s->bytes == 0,
                        .room = hard ? (size_t)r->part->max_bytes : what->max_bytes,
                        .set = &k->set};
    g.what.max_bytes = MIN(what->max_bytes, READ_MAX);
    g.what.least = STORE_WHOLE_BATCH;
    g.what.map = STORE_MAPPED;
    enum outcome o = OUT_OK;
    for (int i = 0; o == OUT_OK && more && i < READS_MAX; i++) {
        o = read_some(c, r, &g, &more);
        if (o == OUT_OFFSET_OUT_OF_RANGE && i > 0)
            o = OUT_OK; /* deleted meanwhile */
    }
    if (o != OUT_OK || k->set.size == 0) {
        store_hold_drop(&k->hold);
        return o;
    }
    r->slice.view = (struct store_view){.fd = -1, .at = k->set.at, .size = k->set.size,
                                        .first_size = k->set.size, .hold = &k->hold};
    s->bytes += k->set.size;
    s->must_answer |= g.what.offset < what->limit_offset; /* to wait would bring no more */
    return OUT_OK;
}
