/* SPDX-License-Identifier: MIT */
/* Aborted transactions: a short list, written behind the abort marker, read at open. */
#include "log/txnindex.h"

#include <fcntl.h>
#include <stdlib.h>

#define TXNINDEX_FILE_MAX MiB(256)

void txnindex_fini(struct txnindex *t)
{
    free(t->list);
    *t = (struct txnindex){0};
}

struct log_aborted txnindex_entry(const struct producer_ended *ended, int64_t first_open)
{
    return (struct log_aborted){ended->producer_id, ended->first_offset, ended->last_offset,
                                MIN(first_open, ended->last_offset + 1)};
}

enum outcome txnindex_add(struct txnindex *t, const struct log_aborted *a)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 8 : t->room * 2;
        struct log_aborted *list = realloc(t->list, room * sizeof *list);
        if (list == NULL)
            return OUT_NO_MEMORY;
        t->list = list;
        t->room = room;
    }
    t->list[t->count++] = *a;
    return OUT_OK;
}

void txnindex_cut(struct txnindex *t, int64_t start, int64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->list[i].last_offset >= start && t->list[i].last_offset < end)
            t->list[kept++] = t->list[i];
    t->count = kept;
}

static void sort_by_first(struct log_aborted *list, size_t count)
{
    for (size_t i = 1; i < count; i++) { /* few, and nearly in order */
        struct log_aborted a = list[i];
        size_t k = i;
        for (; k > 0 && list[k - 1].first_offset > a.first_offset; k--)
            list[k] = list[k - 1];
        list[k] = a;
    }
}

enum outcome txnindex_overlapping(const struct txnindex *t, int64_t from, int64_t to,
                                  struct arena *arena, struct log_aborted **list, size_t *count)
{
    enum outcome o = OUT_OK;
    *list = NULL;
    *count = 0;
    for (size_t pass = 0; pass < 2 && o == OUT_OK; pass++) {
        size_t n = 0;
        for (size_t i = 0; i < t->count; i++) {
            const struct log_aborted *a = &t->list[i];
            if (a->last_offset < from || a->first_offset >= to)
                continue;
            if (pass == 1)
                (*list)[n] = *a;
            n++;
        }
        *count = n;
        if (pass == 0 && (*list = arena_array(arena, struct log_aborted, n)) == NULL)
            o = OUT_NO_MEMORY;
    }
    if (o == OUT_OK)
        sort_by_first(*list, *count);
    return o;
}

static void put_entry(uint8_t entry[static TXNINDEX_ENTRY], const struct log_aborted *a)
{
    put_be16(entry, 0);
    put_be64(entry + 2, (uint64_t)a->producer_id);
    put_be64(entry + 10, (uint64_t)a->first_offset);
    put_be64(entry + 18, (uint64_t)a->last_offset);
    put_be64(entry + 26, (uint64_t)a->stable_offset);
}

enum outcome txnindex_rewrite(const struct txnindex *t, const struct log_io *io, const char *path,
                              int64_t from, int64_t to)
{
    size_t size = 0;
    uint8_t *image = malloc((t->count + 1) * TXNINDEX_ENTRY);
    if (image == NULL)
        return OUT_NO_MEMORY;
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i].last_offset < from || t->list[i].last_offset >= to)
            continue;
        put_entry(image + size, &t->list[i]);
        size += TXNINDEX_ENTRY;
    }
    enum outcome o = io_replace(io, path, image, size, IO_NOT_SYNCED);
    free(image);
    return o;
}

enum outcome txnindex_write(const struct log_io *io, const char *path, const struct log_aborted *a)
{
    uint8_t entry[TXNINDEX_ENTRY];
    int fd;
    uint64_t size = 0;
    put_entry(entry, a);
    enum outcome o = io_open(io, path, O_WRONLY | O_CREAT, &fd);
    if (o != OUT_OK)
        return o;
    o = io_size(fd, &size);
    if (o == OUT_OK)
        o = io_write(io, fd, entry, sizeof entry, size - size % sizeof entry);
    io_close(io, fd);
    return o;
}

enum outcome txnindex_read(struct txnindex *t, const struct log_io *io, const char *path)
{
    char *text;
    size_t size;
    enum outcome o = io_read_all(io, path, TXNINDEX_FILE_MAX, &text, &size);
    if (o == OUT_NOT_FOUND)
        return OUT_OK;
    if (o != OUT_OK)
        return o;
    for (size_t at = 0; o == OUT_OK && at + TXNINDEX_ENTRY <= size; at += TXNINDEX_ENTRY) {
        const uint8_t *entry = (const uint8_t *)text + at;
        struct log_aborted a = {(int64_t)get_be64(entry + 2), (int64_t)get_be64(entry + 10),
                                (int64_t)get_be64(entry + 18), (int64_t)get_be64(entry + 26)};
        o = get_be16(entry) != 0 ? OUT_CORRUPT : txnindex_add(t, &a);
    }
    free(text);
    return o;
}
