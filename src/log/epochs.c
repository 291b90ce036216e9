/* SPDX-License-Identifier: MIT */
/*
 * The leader epoch cache. The file is replaced by rename without waiting for the disk (a start
 * opens thousands of partitions); the next flush of the partition makes it durable, before the
 * recovery point can pass the batches that would bring lost lines back.
 */
#include "log/epochs.h"

#include "base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCHS_NAME "leader-epoch-checkpoint"
#define EPOCHS_FILE_MAX MiB(16)
#define LINE_MAX_SIZE 48

void epochs_fini(struct epochs *e)
{
    free(e->list);
    e->list = NULL;
    e->count = e->room = 0;
    e->latest = -1;
}

static void note_latest(struct epochs *e)
{
    atomic_store_explicit(&e->latest, e->count == 0 ? -1 : e->list[e->count - 1].epoch,
                          memory_order_release);
}

enum outcome epochs_assign(struct epochs *e, int32_t epoch, int64_t offset, bool *changed)
{
    *changed = false;
    if (epoch < 0 || (e->count > 0 && e->list[e->count - 1].epoch >= epoch))
        return OUT_OK;
    if (e->count == e->room) {
        size_t room = e->room == 0 ? 4 : e->room * 2;
        struct epoch *list = realloc(e->list, room * sizeof *list);
        if (list == NULL)
            return OUT_NO_MEMORY;
        e->list = list;
        e->room = room;
    }
    while (e->count > 0 && e->list[e->count - 1].start_offset >= offset)
        e->count--;
    e->list[e->count++] = (struct epoch){epoch, offset};
    note_latest(e);
    *changed = e->differs = true;
    return OUT_OK;
}

void epochs_save_later(struct epochs *e, int64_t offset)
{
    e->unsaved_from = e->unsaved ? MIN(e->unsaved_from, offset) : offset;
    e->unsaved = true;
}

bool epochs_cut_start(struct epochs *e, int64_t offset)
{
    ptrdiff_t first = epochs_at_offset(e, offset);
    if (first < 0 || (first == 0 && e->list[0].start_offset == offset))
        return false;
    e->count -= (size_t)first;
    memmove(e->list, e->list + first, e->count * sizeof *e->list);
    e->list[0].start_offset = offset;
    e->differs = true;
    return true;
}

bool epochs_cut_end(struct epochs *e, int64_t offset)
{
    size_t before = e->count;
    while (e->count > 0 && e->list[e->count - 1].start_offset >= offset)
        e->count--;
    note_latest(e);
    e->differs |= e->count != before;
    return e->count != before;
}

ptrdiff_t epochs_at_offset(const struct epochs *e, int64_t offset)
{
    ptrdiff_t i = (ptrdiff_t)e->count - 1;
    while (i >= 0 && e->list[i].start_offset > offset)
        i--;
    return i;
}

void epochs_end_of(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found,
                   int64_t *end_offset)
{
    *found = -1;
    *end_offset = -1;
    size_t above = 0; /* the first entry with a larger epoch */
    while (above < e->count && e->list[above].epoch <= epoch)
        above++;
    if (epoch >= 0 && e->count > 0 && above == e->count && e->list[above - 1].epoch == epoch) {
        *found = epoch;
        *end_offset = log_end;
    } else if (epoch >= 0 && above == 0 && e->count > 0) {
        *found = epoch; /* before the first known: it ends where that begins */
        *end_offset = e->list[0].start_offset;
    } else if (epoch >= 0 && above < e->count) {
        *found = e->list[above - 1].epoch;
        *end_offset = e->list[above].start_offset;
    }
}

enum outcome epochs_save(struct epochs *e, const struct log_io *io, const char *dir)
{
    char path[LOG_PATH_MAX], tmp[LOG_PATH_MAX];
    size_t room = (e->count + 2) * LINE_MAX_SIZE;
    char *text = malloc(room);
    if (text == NULL)
        return OUT_NO_MEMORY;
    size_t used = (size_t)snprintf(text, room, "0\n%zu\n", e->count);
    for (size_t i = 0; i < e->count; i++)
        used += (size_t)snprintf(text + used, room - used, "%" PRId32 " %" PRId64 "\n",
                                 e->list[i].epoch, e->list[i].start_offset);
    check(used < room);
    io_path(path, dir, EPOCHS_NAME);
    io_path(tmp, dir, EPOCHS_NAME ".tmp");
    enum outcome o = io_replace(io, tmp, text, used, IO_NOT_SYNCED);
    if (o == OUT_OK && io->rename(tmp, path) != 0)
        o = fail(outcome_of_errno(errno), "rename %s", tmp);
    free(text);
    e->unsaved = o != OUT_OK;
    e->unsaved_from = -1;
    if (o == OUT_OK) {
        e->unsynced = true;
        e->differs = false;
    }
    return o;
}

static bool take_number(char **at, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    bool good = end != *at && errno == 0;
    errno = 0;
    *at = end;
    return good;
}

static enum outcome parse(struct epochs *e, char *at)
{
    int64_t version, count, epoch, offset;
    if (!take_number(&at, &version) || version != 0 || !take_number(&at, &count) || count < 0)
        return OUT_CORRUPT;
    for (; count > 0; count--) {
        bool changed;
        if (!take_number(&at, &epoch) || !take_number(&at, &offset) || epoch < 0 ||
            epoch > INT32_MAX || offset < 0)
            return OUT_CORRUPT;
        enum outcome o = epochs_assign(e, (int32_t)epoch, offset, &changed);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

enum outcome epochs_load(struct epochs *e, const struct log_io *io, const char *dir)
{
    char path[LOG_PATH_MAX], *text;
    size_t size;
    epochs_fini(e);
    io_path(path, dir, EPOCHS_NAME);
    enum outcome o = io_read_all(io, path, EPOCHS_FILE_MAX, &text, &size);
    if (o == OUT_NOT_FOUND)
        return OUT_OK;
    if (o != OUT_OK)
        return o;
    o = parse(e, text);
    free(text);
    if (o != OUT_OK)
        epochs_fini(e);
    e->differs = o != OUT_OK;
    return o;
}
