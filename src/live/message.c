/* SPDX-License-Identifier: MIT */
/* Messages that are kept: one allocation holds the count and all bytes. */
#include "live/private.h"

#include <stdlib.h>

struct kept {
    struct store_hold hold;
    uint8_t bytes[];
};

static void kept_release(struct store_hold *hold)
{
    free(container_of(hold, struct kept, hold));
}

/* The copy of `b` at `*at`, which moves behind it. */
static struct bytes put(uint8_t **at, struct bytes b)
{
    if (b.size == 0)
        return (struct bytes){b.at == NULL ? NULL : *at, 0};
    memcpy(*at, b.at, b.size);
    struct bytes copy = {*at, b.size};
    *at += b.size;
    return copy;
}

enum outcome live_message_copy(const struct live_message *from, struct live_message *to)
{
    size_t size = from->subject.size + from->reply.size + from->headers.size + from->payload.size;
    struct kept *k = malloc(sizeof *k + size);
    if (k == NULL)
        return OUT_NO_MEMORY;
    atomic_init(&k->hold.count, 1);
    k->hold.release = kept_release;
    uint8_t *at = k->bytes;
    struct live_message copy = *from;
    copy.subject = put(&at, from->subject);
    copy.reply = put(&at, from->reply);
    copy.headers = put(&at, from->headers);
    copy.payload = put(&at, from->payload);
    copy.hold = &k->hold;
    copy.loan = NULL;
    *to = copy;
    return OUT_OK;
}
