/* SPDX-License-Identifier: MIT */
/*
 * Batches: messages on their way to another shard, one behind the other in one block of memory.
 *
 * The bytes of a small message are copied into the block itself: nothing is allocated or counted
 * for it, and it comes to the other core in the order it is read there. A large message, and one
 * that several shards share or that has a hold anyway, is only pointed at.
 */
#include "live/private.h"

#include "base/check.h"

#include <stdlib.h>

/* A message now and then; some; all that one turn receives: two batches would be sent on as two. */
static const size_t rooms[] = {KiB(2), KiB(32), KiB(256)};
#define BLOCK_MOST KiB(256)
#define BATCH_BYTES_MOST MiB(1) /* with what is pointed at */
#define COPIED_MOST KiB(16)
#define SHARED_FROM KiB(1)  /* with several targets */

static size_t bytes_of_message(const struct live_message *m)
{
    return m->subject.size + m->reply.size + m->headers.size + m->payload.size;
}

static size_t entry_size(const struct live_message *m, bool held)
{
    size_t size = sizeof(struct carried) + (held ? sizeof *m : bytes_of_message(m));
    return (size + 7) & ~(size_t)7;
}

/* Room for an entry; what is in a small block moves into a larger one. False: no memory, or what is
 * there is to be posted first. */
static bool make_room(struct lane *l, size_t size)
{
    struct batch *b = l->batch;
    if (b != NULL && b->room - b->used >= size)
        return true;
    if (b != NULL && b->used + size > BLOCK_MOST)
        return false;
    size_t wanted = b == NULL ? MAX(l->usual, size) : b->used + size, i = 0;
    while (i < COUNT_OF(rooms) - 1 && rooms[i] < wanted)
        i++;
    size_t room = MAX(rooms[i], size);
    struct batch *larger = realloc(b, sizeof *b + room);
    if (larger == NULL)
        return false;
    if (b == NULL)
        *larger = (struct batch){.lane = l};
    larger->room = (uint32_t)room;
    l->batch = larger;
    return true;
}

static uint8_t *put(uint8_t *to, struct bytes b)
{
    if (b.size > 0)
        memcpy(to, b.at, b.size);
    return to + b.size;
}

static void write_bytes(struct carried *c, const struct live_message *m)
{
    c->subject = (uint32_t)m->subject.size;
    c->reply = (uint32_t)m->reply.size;
    c->headers = (uint32_t)m->headers.size;
    c->payload = (uint32_t)m->payload.size;
    c->deadline_ms = m->deadline_ms;
    c->offset = m->offset;
    c->timestamp_ms = m->timestamp_ms;
    (void)put(put(put(put((uint8_t *)(c + 1), m->subject), m->reply), m->headers), m->payload);
}

bool batch_add(struct lane *l, const struct address *to, struct flight *f)
{
    const struct live_message *m = f->m;
    size_t bytes = bytes_of_message(m);
    bool held = m->hold != NULL || f->kept.hold != NULL || bytes > COPIED_MOST ||
                (f->shards > 1 && bytes > SHARED_FROM);
    if (held && (m = flight_kept(f)) == NULL)
        return false;
    size_t size = entry_size(m, held);
    if (!make_room(l, size)) {
        if (l->batch == NULL)
            return false;
        batch_post(l);
        if (!make_room(l, size))
            return false;
    }
    struct batch *b = l->batch;
    struct carried *c = (struct carried *)(void *)(b->at + b->used);
    *c = (struct carried){.size = (uint32_t)size, .hash = f->hash, .held = held,
                          .member = to->member, .group = to->group, .visited = to->visited};
    if (held) {
        store_hold_take(m->hold);
        memcpy(c + 1, m, sizeof *m);
    } else {
        write_bytes(c, m);
    }
    b->used += (uint32_t)size;
    b->bytes += size + (held ? bytes : 0);
    if (b->bytes >= BATCH_BYTES_MOST)
        batch_post(l);
    return true;
}

/* ---- the receiver ---- */

static struct bytes cut(const uint8_t **at, uint32_t size)
{
    struct bytes b = {*at, size};
    *at += size;
    return b;
}

const struct carried *batch_next(const struct batch *b, uint32_t *at, struct live_message *m)
{
    if (*at == b->used)
        return NULL;
    const struct carried *c = (const struct carried *)(const void *)(b->at + *at);
    const uint8_t *bytes = (const uint8_t *)(c + 1);
    *at += c->size;
    check(*at <= b->used);
    if (c->held) {
        memcpy(m, bytes, sizeof *m);
        m->loan = NULL; /* another thread's */
        return c;
    }
    *m = (struct live_message){.deadline_ms = c->deadline_ms, .offset = c->offset,
                               .timestamp_ms = c->timestamp_ms};
    m->subject = cut(&bytes, c->subject);
    m->reply = cut(&bytes, c->reply);
    m->headers = cut(&bytes, c->headers);
    m->payload = cut(&bytes, c->payload);
    return c;
}

void batch_free(struct batch *b)
{
    struct live_message m;
    uint32_t at = 0;
    while (batch_next(b, &at, &m) != NULL)
        store_hold_drop(m.hold);
    free(b);
}
