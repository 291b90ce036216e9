/* SPDX-License-Identifier: MIT */
/*
 * What files a partition's directory holds, and clearing away what a crash left half done:
 * `.deleted` and `.cleaned` files go, `.swap` files (a compaction that was finished but for the
 * renaming) take the place of the segments they replace, unless a `.cleaned` at or below shows that
 * their set is not whole.
 */
#include "log/partition.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_DIGITS 20

static const char *const suffixes[FILE_KINDS] = {".log", ".index", ".timeindex", ".txnindex",
                                                 ".snapshot"};

/* Twenty digits; the rest of the name is given back, NULL when it is no such name. */
static const char *parse_offset(const char *name, int64_t *offset)
{
    *offset = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || *offset > (INT64_MAX - 9) / 10)
            return NULL;
        *offset = *offset * 10 + (name[i] - '0');
    }
    return name + NAME_DIGITS;
}

static int compare(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static enum outcome add(struct listing *to, int kind, int64_t offset)
{
    size_t count = to->count[kind];
    if ((count & (count - 1)) == 0) { /* full at each power of two */
        size_t room = count == 0 ? 1 : count * 2;
        int64_t *list = realloc(to->offsets[kind], room * sizeof *list);
        if (list == NULL)
            return OUT_NO_MEMORY;
        to->offsets[kind] = list;
    }
    to->offsets[kind][to->count[kind]++] = offset;
    return OUT_OK;
}

void listing_free(struct listing *f)
{
    for (int k = 0; k < FILE_KINDS; k++)
        free(f->offsets[k]);
    *f = (struct listing){0};
}

/* Lists names that end in one of the suffixes followed by `tail` ("" or ".swap"). *leftovers:
 * whether a name has anything behind its kind. */
static enum outcome look(const char *dir, const char *tail, struct listing *to, bool *leftovers)
{
    *to = (struct listing){0};
    *leftovers = false;
    DIR *d = opendir(dir);
    if (d == NULL)
        return fail(outcome_of_errno(errno), "open directory %s", dir);
    enum outcome o = OUT_OK;
    struct dirent *e;
    while (o == OUT_OK && (e = readdir(d)) != NULL) {
        int64_t offset;
        const char *rest = parse_offset(e->d_name, &offset);
        *leftovers |= rest != NULL && rest[0] == '.' && strchr(rest + 1, '.') != NULL;
        for (int k = 0; rest != NULL && o == OUT_OK && k < FILE_KINDS; k++) {
            size_t size = strlen(suffixes[k]);
            if (strncmp(rest, suffixes[k], size) == 0 && strcmp(rest + size, tail) == 0)
                o = add(to, k, offset);
        }
    }
    closedir(d);
    for (int k = 0; k < FILE_KINDS; k++)
        if (to->count[k] > 1)
            qsort(to->offsets[k], to->count[k], sizeof(int64_t), compare);
    if (o != OUT_OK)
        listing_free(to);
    return o;
}

static enum outcome list(const char *dir, const char *tail, struct listing *to)
{
    bool leftovers;
    return look(dir, tail, to, &leftovers);
}

enum outcome listing_read(const struct log_io *io, const char *dir, struct listing *to)
{
    (void)io;
    return list(dir, "", to);
}

/* Unlinks every file with the tail at or above `from`. */
static enum outcome remove_all(const struct log_io *io, const char *dir, const char *tail,
                               int64_t from)
{
    struct listing f;
    char path[LOG_PATH_MAX];
    enum outcome o = list(dir, tail, &f);
    for (int k = 0; o == OUT_OK && k < FILE_KINDS; k++) {
        for (size_t i = 0; i < f.count[k] && o == OUT_OK; i++) {
            segment_path(path, dir, f.offsets[k][i], (enum segment_file)k, tail);
            if (f.offsets[k][i] >= from && io->unlink(path) != 0 && errno != ENOENT)
                o = fail(outcome_of_errno(errno), "unlink %s", path);
        }
    }
    listing_free(&f);
    return o;
}

/* The offset behind the last batch of a segment file. */
static enum outcome file_end(const struct log_io *io, const char *path, int64_t base, int64_t *end)
{
    int fd;
    uint64_t size = 0;
    struct scan scan;
    struct log_batch b;
    *end = base;
    enum outcome o = io_open(io, path, O_RDONLY, &fd);
    if (o != OUT_OK)
        return o;
    o = io_size(fd, &size);
    scan_init(&scan, io, fd, 0, size);
    while (o == OUT_OK && (o = scan_next(&scan, &b)) == OUT_OK)
        *end = b.last_offset + 1;
    scan_fini(&scan);
    io_close(io, fd);
    return o == OUT_IO || o == OUT_NO_MEMORY ? o : OUT_OK;
}

/* The segments that a swap file replaces begin within its offsets. Whatever is done, the .log comes
 * last: as long as one is there, a next attempt does the same again. */
static enum outcome finish_swap(const struct log_io *io, const char *dir, int64_t base,
                                const struct listing *now)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    int64_t end;
    segment_path(from, dir, base, FILE_LOG, ".swap");
    enum outcome o = file_end(io, from, base, &end);
    for (size_t i = 0; o == OUT_OK && i < now->count[FILE_LOG]; i++) {
        int64_t old = now->offsets[FILE_LOG][i];
        bool replaced = old == base || (old > base && old < end);
        for (int k = FILE_SNAPSHOT - 1; replaced && k >= 0; k--) {
            segment_path(to, dir, old, (enum segment_file)k, "");
            if (io->unlink(to) != 0 && errno != ENOENT)
                o = fail(outcome_of_errno(errno), "unlink %s", to);
        }
    }
    for (int k = FILE_SNAPSHOT - 1; o == OUT_OK && k >= 0; k--) {
        if (k == FILE_LOG)
            o = io_sync_dir(io, dir);
        segment_path(from, dir, base, (enum segment_file)k, ".swap");
        segment_path(to, dir, base, (enum segment_file)k, "");
        if (o == OUT_OK && io->rename(from, to) != 0 && errno != ENOENT)
            o = fail(outcome_of_errno(errno), "rename %s", from);
    }
    errno = 0;
    return o;
}

static enum outcome tidy(const struct log_io *io, const char *dir)
{
    struct listing cleaned, swaps, now;
    int64_t whole_below = INT64_MAX;
    enum outcome o = remove_all(io, dir, ".deleted", 0);
    if (o == OUT_OK)
        o = list(dir, ".cleaned", &cleaned);
    if (o != OUT_OK)
        return o;
    if (cleaned.count[FILE_LOG] > 0)
        whole_below = cleaned.offsets[FILE_LOG][0];
    listing_free(&cleaned);
    o = remove_all(io, dir, ".cleaned", 0);
    if (o == OUT_OK)
        o = remove_all(io, dir, ".swap", whole_below);
    if (o == OUT_OK)
        o = list(dir, ".swap", &swaps);
    if (o != OUT_OK)
        return o;
    for (size_t i = 0; o == OUT_OK && i < swaps.count[FILE_LOG]; i++) {
        o = list(dir, "", &now);
        if (o == OUT_OK)
            o = finish_swap(io, dir, swaps.offsets[FILE_LOG][i], &now);
        listing_free(&now);
    }
    listing_free(&swaps);
    return o;
}

/* Leftovers are seldom: one look is all that most opens need. */
enum outcome listing_tidy(const struct log_io *io, const char *dir, struct listing *to)
{
    bool leftovers;
    enum outcome o = look(dir, "", to, &leftovers);
    if (o != OUT_OK || !leftovers)
        return o;
    listing_free(to);
    o = tidy(io, dir);
    return o == OUT_OK ? list(dir, "", to) : o;
}
