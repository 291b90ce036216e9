/* SPDX-License-Identifier: MIT */
/*
 * Times to live: when a record is past its time, and batches without such records. A batch keeps
 * its base and last offset whatever goes, as after compaction; of one that lost all, the header
 * stays, so that who reads comes past it.
 */
#include "log/compact.h"

#include <stdlib.h>

#define TTL_HEADER "Nats-TTL"

/* One number with its unit, "1.5h" or "250ms"; false: neither. */
static bool take_part(struct bytes *text, double *ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"h", 36e5}, {"m", 6e4}, {"s", 1e3}};
    double number = 0, scale = 1;
    size_t at = 0, digits = 0;
    bool point = false;
    for (; at < text->size; at++) {
        uint8_t c = text->at[at];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        number = number * 10 + (c - '0');
        scale *= point ? 10 : 1;
        digits++;
    }
    if (digits == 0 || digits > 15)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t size = strlen(units[i].name);
        if (text->size - at < size || memcmp(text->at + at, units[i].name, size) != 0)
            continue;
        *ms += number / scale * units[i].ms;
        *text = (struct bytes){text->at + at + size, text->size - at - size};
        return true;
    }
    return false;
}

bool log_duration(struct bytes text, int64_t *ms)
{
    double sum = 0, seconds = 0;
    bool whole = text.size > 0 && text.size < 12;
    for (size_t i = 0; i < text.size; i++) {
        whole &= text.at[i] >= '0' && text.at[i] <= '9';
        seconds = seconds * 10 + (text.at[i] - '0');
    }
    if (text.size == 0 || text.size > 64)
        return false;
    while (!whole && text.size > 0) {
        if (!take_part(&text, &sum))
            return false;
    }
    sum = whole ? seconds * 1000 : sum;
    *ms = (int64_t)sum;
    return sum <= 1e15;
}

int64_t log_record_deadline(const struct log_record *record, int64_t ttl_ms)
{
    struct bytes rest = record->headers;
    struct log_header h;
    while (record->header_count > 0 && log_header_next(&rest, &h)) {
        int64_t ms;
        if (bytes_is(h.key, TTL_HEADER) && h.value.size > 0)
            return log_duration(h.value, &ms) ? record->timestamp + ms : 0;
    }
    return ttl_ms < 0 ? 0 : record->timestamp + ttl_ms;
}

bool record_expired(const struct log_record *r, int64_t ttl_ms, int64_t now_ms)
{
    int64_t deadline = log_record_deadline(r, ttl_ms);
    return deadline != 0 && deadline <= now_ms;
}

/* ---- what a reader gets ---- */

/* Memory that a view lives in. */
struct kept {
    struct store_hold hold;
    size_t size, room;
    uint8_t *at;
};

static void release(struct store_hold *hold)
{
    struct kept *k = container_of(hold, struct kept, hold);
    free(k->at);
    free(k);
}

static bool keep(struct kept *k, struct bytes piece)
{
    if (k->size + piece.size > k->room) {
        size_t room = MAX(2 * k->room, k->size + piece.size);
        uint8_t *at = realloc(k->at, room);
        if (at == NULL)
            return false;
        k->at = at;
        k->room = room;
    }
    if (piece.size > 0)
        memcpy(k->at + k->size, piece.at, piece.size);
    k->size += piece.size;
    return true;
}

struct thinning {
    struct compact_rules rules;
    struct compact_out out;
    struct kept *kept;   /* NULL: nothing was expired so far */
    size_t clean;        /* bytes of the view before the first such batch */
};

/* One batch. False: the view ends before it. */
static enum outcome thin_batch(struct thinning *t, const struct log_batch *b, bool *more)
{
    struct bytes remains = {b->at, b->size};
    enum outcome o = OUT_OK;
    if (b->magic >= 2) /* older ones have no header that could stay */
        o = compact_batch(&t->rules, b, false, &t->out, &remains);
    *more = true;
    if (o != OUT_OK)
        return o;
    if (t->kept == NULL && remains.at == b->at) {
        t->clean += b->size;
        return OUT_OK;
    }
    if (t->clean > 0) { /* the next read begins here */
        *more = false;
        return OUT_OK;
    }
    if (t->kept == NULL) {
        t->kept = calloc(1, sizeof *t->kept);
        if (t->kept == NULL)
            return OUT_NO_MEMORY;
        atomic_init(&t->kept->hold.count, 1);
        t->kept->hold.release = release;
    }
    return keep(t->kept, remains) ? OUT_OK : OUT_NO_MEMORY;
}

enum outcome log_view_thin(struct store_view *view, int64_t ttl_ms, int64_t now_ms, bool *cut)
{
    struct thinning t = {.rules = {.expires = true, .ttl_ms = ttl_ms, .now_ms = now_ms}};
    struct bytes rest = {view->at, view->size};
    struct log_batch b;
    enum outcome o = OUT_OK;
    bool more = true;
    *cut = false;
    while (o == OUT_OK && more && log_batch_next(&rest, &b) == OUT_OK)
        o = thin_batch(&t, &b, &more);
    compact_out_fini(&t.out);
    if (o != OUT_OK) {
        if (t.kept != NULL)
            store_hold_drop(&t.kept->hold);
        return fail(o, "take out expired records");
    }
    if (t.kept == NULL) {
        *cut = !more;
        view->size = t.clean;
        if (view->size > 0)
            return OUT_OK;
        store_hold_drop(view->hold);
        *view = (struct store_view){.fd = -1};
        return OUT_OK;
    }
    bool done = view->segment_done;
    store_hold_drop(view->hold);
    *view = (struct store_view){.fd = -1, .at = t.kept->at, .size = t.kept->size,
                                .first_size = t.kept->size, .hold = &t.kept->hold,
                                .segment_done = done};
    return OUT_OK;
}
