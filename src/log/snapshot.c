/* SPDX-License-Identifier: MIT */
/*
 * Producer snapshots, Kafka's format: int16 version 1, uint32 CRC-32C of everything behind it,
 * int32 count, entries. Only the last batch of each producer is kept. A torn file is told by its
 * checksum.
 */
#include "log/producers.h"

#include "base/check.h"
#include "base/crc32c.h"

#include <stdlib.h>

#define SNAPSHOT_HEAD 10
#define SNAPSHOT_ENTRY 46
#define SNAPSHOT_MAX MiB(512)

static void put_entry(uint8_t *to, const struct producer *at)
{
    const struct producer_batch none = {.last_sequence = -1, .last_offset = -1};
    const struct producer_batch *last =
        at->batch_count == 0 ? &none : &at->batches[at->batch_count - 1];
    put_be64(to, (uint64_t)at->id);
    put_be16(to + 8, (uint16_t)at->epoch);
    put_be32(to + 10, (uint32_t)last->last_sequence);
    put_be64(to + 14, (uint64_t)last->last_offset);
    put_be32(to + 22, (uint32_t)last->offset_delta);
    put_be64(to + 26, (uint64_t)at->last_timestamp);
    put_be32(to + 34, (uint32_t)at->coordinator_epoch);
    put_be64(to + 38, (uint64_t)at->txn_start_offset);
}

static_assert(8 + 2 + 4 + 8 + 4 + 8 + 4 + 8 == SNAPSHOT_ENTRY, "size of a snapshot entry");

enum outcome producers_save(const struct producers *p, const struct log_io *io, const char *path,
                            enum io_sync sync)
{
    size_t size = SNAPSHOT_HEAD + p->count * SNAPSHOT_ENTRY;
    uint8_t *image = malloc(size), *to;
    if (image == NULL)
        return OUT_NO_MEMORY;
    put_be16(image, 1);
    put_be32(image + 6, (uint32_t)p->count);
    to = image + SNAPSHOT_HEAD;
    for (size_t i = 0; i < p->room; i++) {
        if (p->table[i].id == -1)
            continue;
        put_entry(to, &p->table[i]);
        to += SNAPSHOT_ENTRY;
    }
    check((size_t)(to - image) == size);
    put_be32(image + 2, crc32c(0, image + 6, size - 6));
    enum outcome o = io_replace(io, path, image, size, sync);
    free(image);
    return o;
}

static void take_entry(struct producers *p, const uint8_t *at)
{
    int64_t id = (int64_t)get_be64(at);
    struct log_batch b = {
        .magic = 2,
        .producer_id = id,
        .producer_epoch = (int16_t)get_be16(at + 8),
        .last_offset = (int64_t)get_be64(at + 14),
        .max_timestamp = (int64_t)get_be64(at + 26),
    };
    int32_t last = (int32_t)get_be32(at + 10), delta = (int32_t)get_be32(at + 22);
    struct producer_ended ended;
    b.base_offset = b.last_offset - delta;
    b.base_sequence = last < 0 ? -1 : (int32_t)(((uint32_t)last - (uint32_t)delta) & INT32_MAX);
    producers_update(p, &b, &ended);
    struct producer *to = producers_find(p, id);
    check(to != NULL);
    if (b.last_offset < 0)
        to->batch_count = 0;
    to->coordinator_epoch = (int32_t)get_be32(at + 34);
    to->txn_start_offset = (int64_t)get_be64(at + 38);
    if (to->txn_start_offset >= 0)
        p->first_open_offset = MIN(p->first_open_offset, to->txn_start_offset);
}

enum outcome producers_load(struct producers *p, const struct log_io *io, const char *path)
{
    char *text;
    size_t size;
    producers_clear(p);
    enum outcome o = io_read_all(io, path, SNAPSHOT_MAX, &text, &size);
    if (o != OUT_OK)
        return o;
    const uint8_t *image = (const uint8_t *)text;
    if (size < SNAPSHOT_HEAD || get_be16(image) != 1 ||
        get_be32(image + 2) != crc32c(0, image + 6, size - 6) ||
        (size - SNAPSHOT_HEAD) % SNAPSHOT_ENTRY != 0 ||
        get_be32(image + 6) != (size - SNAPSHOT_HEAD) / SNAPSHOT_ENTRY)
        o = OUT_CORRUPT;
    for (size_t at = SNAPSHOT_HEAD; o == OUT_OK && at < size; at += SNAPSHOT_ENTRY) {
        o = (int64_t)get_be64(image + at) < 0 ? OUT_CORRUPT : producers_reserve(p);
        if (o == OUT_OK)
            take_entry(p, image + at);
    }
    free(text);
    if (o != OUT_OK)
        producers_clear(p);
    return o;
}
