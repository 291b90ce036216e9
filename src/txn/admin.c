/* SPDX-License-Identifier: MIT */
/* DescribeTransactions, ListTransactions, and the end of ids that nobody uses. */
#include "txn/private.h"

static struct txn_described describe(const struct txn *t)
{
    return (struct txn_described){.id = t->id, .state = txn_state_name(t->state),
                                  .timeout_ms = t->timeout_ms, .start_ms = t->start_ms,
                                  .producer_id = t->producer_id, .epoch = t->epoch};
}

void txn_on_describe(struct txn_shard *s)
{
    const struct txn *t = txn_find(s, s->event->id);
    if (t == NULL) {
        (void)txn_reply_own(s, OUT_TXN_ID_NOT_FOUND);
        return;
    }
    struct txn_described *d = take_array(s, struct txn_described, 1);
    struct txn_place *places = txn_places_sorted(s, &t->places);
    if (d == NULL || places == NULL)
        return;
    *d = describe(t);
    d->places = places;
    d->place_count = t->places.count;
    struct txn_reply *r = txn_reply_own(s, OUT_OK);
    r->described = d;
    r->described_count = 1;
}

struct listing {
    struct txn_described *at;
};

static void list_one(struct txn_shard *s, struct txn *t, void *context)
{
    struct listing *l = context;
    (void)s;
    *l->at++ = describe(t);
}

void txn_on_list(struct txn_shard *s)
{
    struct txn_described *list = take_array(s, struct txn_described, s->count);
    if (list == NULL)
        return;
    struct txn_reply *r = txn_reply_own(s, OUT_OK);
    r->described = list;
    r->described_count = s->count;
    struct listing l = {.at = list};
    txn_each(s, list_one, &l);
}

static void expire(struct txn_shard *s, struct txn *t, void *context)
{
    (void)context;
    if (t->state == STATE_ONGOING || txn_prepared(t) ||
        s->event->wall_ms - t->update_ms < s->options.expiration_ms)
        return;
    txn_record_gone(s, t);
    txn_remove(s, t);
}

void txn_on_expire(struct txn_shard *s)
{
    txn_each(s, expire, NULL);
}
