/* SPDX-License-Identifier: MIT */
/*
 * Walking over the batches of a file, each whole in memory: recovery, loading coordinators, time
 * lookups. The buffer grows only for a batch that the file really holds.
 */
#include "log/segment.h"

#include <stdlib.h>

#define SCAN_FIRST KiB(64)
#define SCAN_USUAL MiB(1)

void scan_init(struct scan *s, const struct log_io *io, int fd, uint64_t from, uint64_t end)
{
    *s = (struct scan){.io = io, .fd = fd, .position = from, .end = end, .from = from};
}

void scan_fini(struct scan *s)
{
    free(s->buffer);
    s->buffer = NULL;
}

/* Makes at least `need` bytes from `position` on readable, as far as the file goes. */
static enum outcome fill(struct scan *s, size_t need)
{
    size_t behind = (size_t)(s->position - s->from), left = 0;
    if (behind < s->held)
        left = s->held - behind;
    if (left >= need)
        return OUT_OK;
    size_t room = s->room == 0 ? SCAN_FIRST : SCAN_USUAL;
    room = MAX(room, need);
    if (s->room < room) {
        uint8_t *buffer = malloc(room);
        if (buffer == NULL)
            return OUT_NO_MEMORY;
        if (left > 0)
            memcpy(buffer, s->buffer + behind, left);
        free(s->buffer);
        s->buffer = buffer;
        s->room = room;
    } else if (left > 0) {
        memmove(s->buffer, s->buffer + behind, left);
    }
    s->from = s->position;
    s->held = left;
    uint64_t there = s->end - s->position - left;
    size_t got;
    enum outcome o = io_read(s->io, s->fd, s->buffer + left, (size_t)MIN(s->room - left, there),
                             s->position + left, &got);
    s->held = left + got;
    return o;
}

static size_t readable(const struct scan *s)
{
    return s->held - (size_t)(s->position - s->from);
}

enum outcome scan_next(struct scan *s, struct log_batch *b)
{
    if (s->position >= s->end)
        return OUT_END;
    enum outcome o = fill(s, (size_t)MIN(s->end - s->position, (uint64_t)LOG_BATCH_HEADER));
    if (o != OUT_OK)
        return o;
    o = batch_parse(s->buffer + (s->position - s->from), readable(s), s->end - s->position, b);
    if (o != OUT_OK)
        return o;
    o = fill(s, b->size);
    if (o != OUT_OK)
        return o;
    if (readable(s) < b->size)
        return OUT_MORE; /* the file is shorter than it was */
    b->at = s->buffer + (s->position - s->from);
    s->position += b->size;
    return OUT_OK;
}
