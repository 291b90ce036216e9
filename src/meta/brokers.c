/* SPDX-License-Identifier: MIT */
/* Registered brokers of an image, one piece of memory each, shared between images. */
#include "meta/image.h"

#include "wire/messages.h"

#include <stdlib.h>

static void broker_drop(struct meta_broker *b)
{
    if (atomic_fetch_sub_explicit(&b->holds, 1, memory_order_acq_rel) == 1)
        free(b);
}

void brokers_fini(struct meta_image *i)
{
    for (size_t k = 0; k < i->broker_count; k++)
        broker_drop(i->brokers[k]);
    free(i->brokers);
    i->brokers = NULL;
    i->broker_count = 0;
}

bool brokers_share(struct meta_image *d, const struct meta_image *from)
{
    d->brokers = malloc((from->broker_count + 1) * sizeof(struct meta_broker *));
    if (d->brokers == NULL)
        return false;
    for (size_t i = 0; i < from->broker_count; i++) {
        d->brokers[i] = from->brokers[i];
        atomic_fetch_add_explicit(&d->brokers[i]->holds, 1, memory_order_relaxed);
    }
    d->broker_count = from->broker_count;
    return true;
}

static size_t place_of(const struct meta_image *i, int32_t id)
{
    size_t at = 0;
    while (at < i->broker_count && i->brokers[at]->id < id)
        at++;
    return at;
}

const struct meta_broker *meta_broker(const struct meta_image *i, int32_t id)
{
    size_t at = place_of(i, id);
    return at < i->broker_count && i->brokers[at]->id == id ? i->brokers[at] : NULL;
}

static struct bytes copy_text(uint8_t **at, struct bytes b)
{
    if (b.at == NULL)
        return b;
    struct bytes copy = bytes_view(*at, b.size);
    if (b.size > 0)
        memcpy(*at, b.at, b.size);
    *at += b.size;
    return copy;
}

/* A copy of `like`, all of it in one piece. */
static struct meta_broker *broker_copy(const struct meta_broker *like)
{
    size_t table = like->endpoint_count * sizeof(struct meta_endpoint);
    size_t text = like->rack.size + like->framed.size;
    for (size_t i = 0; i < like->endpoint_count; i++)
        text += like->endpoints[i].name.size + like->endpoints[i].host.size;
    struct meta_broker *b = malloc(sizeof *b + table + text + 1);
    if (b == NULL)
        return NULL;
    *b = *like;
    atomic_init(&b->holds, 1);
    b->endpoints = (struct meta_endpoint *)(void *)(b + 1);
    uint8_t *at = (uint8_t *)(b + 1) + table;
    for (size_t i = 0; i < like->endpoint_count; i++) {
        b->endpoints[i] = like->endpoints[i];
        b->endpoints[i].name = copy_text(&at, like->endpoints[i].name);
        b->endpoints[i].host = copy_text(&at, like->endpoints[i].host);
    }
    b->rack = copy_text(&at, like->rack);
    b->framed = copy_text(&at, like->framed);
    return b;
}

static enum outcome put(struct meta_image *d, const struct meta_broker *like)
{
    struct meta_broker *b = broker_copy(like);
    struct meta_broker **grown = realloc(d->brokers, (d->broker_count + 2) * sizeof *grown);
    if (grown != NULL)
        d->brokers = grown;
    if (b == NULL || grown == NULL) {
        free(b);
        return fail(OUT_NO_MEMORY, "register a broker in the metadata");
    }
    size_t at = place_of(d, b->id);
    if (at < d->broker_count && d->brokers[at]->id == b->id) {
        broker_drop(d->brokers[at]);
    } else {
        memmove(&d->brokers[at + 1], &d->brokers[at], (d->broker_count - at) * sizeof *grown);
        d->broker_count++;
    }
    d->brokers[at] = b;
    return OUT_OK;
}

enum outcome apply_broker(struct meta_image *d, const struct register_broker_record *r,
                          struct bytes framed)
{
    struct meta_endpoint points[16];
    struct meta_broker like = {
        .id = r->broker_id, .epoch = r->broker_epoch, .incarnation = r->incarnation_id,
        .fenced = r->fenced, .in_controlled_shutdown = r->in_controlled_shutdown, .rack = r->rack,
        .endpoint_count = (size_t)MAX(r->end_points_count, 0), .endpoints = points,
        .framed = framed};
    if (like.endpoint_count > COUNT_OF(points))
        return fail(OUT_CORRUPT, "the metadata has a broker with %zu listeners",
                    like.endpoint_count);
    for (size_t i = 0; i < like.endpoint_count; i++)
        points[i] = (struct meta_endpoint){
            .name = r->end_points[i].name, .host = r->end_points[i].host,
            .port = r->end_points[i].port, .security_protocol = r->end_points[i].security_protocol};
    return put(d, &like);
}

/* Marks of an earlier registration come too late and change nothing. */
enum outcome apply_broker_mark(struct meta_image *d, const struct broker_mark *mark)
{
    const struct meta_broker *old = meta_broker(d, mark->id);
    if (old == NULL || old->epoch != mark->epoch)
        return OUT_OK;
    struct meta_broker like = *old;
    if (mark->fenced != 0)
        like.fenced = mark->fenced > 0;
    if (mark->in_controlled_shutdown != 0)
        like.in_controlled_shutdown = mark->in_controlled_shutdown > 0;
    return put(d, &like);
}

void apply_unregister_broker(struct meta_image *d, int32_t id)
{
    size_t at = place_of(d, id);
    if (at == d->broker_count || d->brokers[at]->id != id)
        return;
    broker_drop(d->brokers[at]);
    d->broker_count--;
    memmove(&d->brokers[at], &d->brokers[at + 1], (d->broker_count - at) * sizeof *d->brokers);
}
