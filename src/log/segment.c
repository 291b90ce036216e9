/* SPDX-License-Identifier: MIT */
/*
 * Segments: their files, opening and closing them, index entries, and finding a batch by offset.
 * Sealed segments are opened at the first read and closed again when idle, so that thousands of
 * them cost no descriptors. An index file that is missing or odd is built again from the segment.
 */
#include "log/segment.h"

#include "base/check.h"
#include "log/partition.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define AHEAD_PART 8      /* of what is there, that is taken ahead */
#define AHEAD_LEAST MiB(1) /* a call is worth that many bytes */
#define AHEAD_LEFT KiB(64) /* what the file system itself may add to a file is not ours */
#define HOP KiB(4) /* read at once while hopping over headers: an index interval */
#define HOP_AHEAD KiB(1) /* asked of memory before headers in a mapping are hopped to */

void segment_path(char to[static LOG_PATH_MAX], const char *dir, int64_t offset,
                  enum segment_file kind, const char *suffix)
{
    static const char *const names[FILE_KINDS] =
        {"log", "index", "timeindex", "txnindex", "snapshot"};
    int used =
        snprintf(to, LOG_PATH_MAX, "%s/%020" PRId64 ".%s%s", dir, offset, names[kind], suffix);
    check(used > 0 && used < LOG_PATH_MAX);
}

static void body_free(const struct log_io *io, struct body *b)
{
    if (b == NULL)
        return;
    const uint8_t *map = atomic_load(&b->map);
    if (map != NULL)
        munmap((void *)(uintptr_t)map, b->map_size);
    index_fini(&b->offsets);
    index_fini(&b->times);
    io_close(io, b->fd);
    free(b);
}

static void release(struct store_hold *hold)
{
    struct segment *s = container_of(hold, struct segment, hold);
    body_free(s->io, atomic_load(&s->body));
    free(s);
}

enum outcome segment_new(const struct log_io *io, const char *dir, int64_t base_offset,
                         uint64_t size, struct segment **segment)
{
    struct segment *s = calloc(1, sizeof *s);
    if (s == NULL)
        return OUT_NO_MEMORY;
    s->hold.count = 1;
    s->hold.release = release;
    s->io = io;
    s->dir = dir;
    s->base_offset = base_offset;
    s->size = size;
    s->max_timestamp = TIME_UNKNOWN;
    s->max_timestamp_offset = base_offset;
    s->first_timestamp = -1;
    *segment = s;
    return OUT_OK;
}

static enum outcome body_new(const struct segment *s, const char *suffix, int flags,
                             struct body **body)
{
    char path[LOG_PATH_MAX];
    struct body *b = calloc(1, sizeof *b);
    if (b == NULL)
        return OUT_NO_MEMORY;
    index_init(&b->offsets, INDEX_OFFSETS);
    index_init(&b->times, INDEX_TIMES);
    segment_path(path, s->dir, s->base_offset, FILE_LOG, suffix);
    enum outcome o = io_open(s->io, path, flags, &b->fd);
    if (o != OUT_OK) {
        free(b);
        b = NULL;
    }
    *body = b;
    return o;
}

enum outcome segment_open_active(struct segment *s)
{
    struct body *b;
    check(atomic_load(&s->body) == NULL);
    enum outcome o = body_new(s, "", O_RDWR | O_CREAT, &b);
    if (o == OUT_OK)
        atomic_store(&s->body, b);
    return o;
}

enum outcome segment_create(const struct log_io *io, const char *dir, int64_t base_offset,
                            int64_t now_ms, struct segment **segment)
{
    struct segment *s;
    enum outcome o = segment_new(io, dir, base_offset, 0, &s);
    if (o != OUT_OK)
        return o;
    s->created_ms = now_ms;
    s->max_timestamp = -1;
    struct body *b;
    o = body_new(s, "", O_RDWR | O_CREAT | O_TRUNC, &b);
    if (o == OUT_OK) {
        atomic_store(&s->body, b);
        atomic_store(&s->unsaved, true);
        atomic_store(&s->unsynced, true);
        o = segment_save_indexes(s, IO_NOT_SYNCED);
    }
    if (o != OUT_OK) {
        store_hold_drop(&s->hold);
        return o;
    }
    *segment = s;
    return OUT_OK;
}

void segment_allocate(struct segment *s, int64_t size)
{
    const struct body *b = atomic_load(&s->body);
    s->ahead = (uint64_t)MIN(size, INT32_MAX);
    if (s->io->allocate(b->fd, 0, (off_t)s->ahead) != 0)
        errno = 0;
}

void segment_allocate_ahead(struct segment *s, uint64_t size, int64_t most, int64_t segment_bytes)
{
    const struct body *b = atomic_load(&s->body);
    uint64_t at = atomic_load(&s->size), end = at + size;
    uint64_t step = MIN(MAX(end / AHEAD_PART, (uint64_t)AHEAD_LEAST), (uint64_t)most);
    uint64_t from = MAX(s->ahead, at), to = MIN(end + step, (uint64_t)segment_bytes);
    s->ahead = end + step; /* without space, or at the segment's end, it is not asked again soon */
    if (from < to && s->io->allocate_ahead(b->fd, (off_t)from, (off_t)(to - from)) != 0)
        errno = 0;
}

void segment_note_ahead(struct segment *s)
{
    struct stat st;
    const struct body *b = atomic_load(&s->body);
    if (fstat(b->fd, &st) != 0)
        errno = 0;
    else if ((uint64_t)st.st_blocks * 512 > (uint64_t)st.st_size + AHEAD_LEFT)
        s->ahead = UINT64_MAX;
}

void segment_give_back(struct segment *s)
{
    const struct body *b = atomic_load(&s->body);
    if (s->ahead > atomic_load(&s->size) &&
        s->io->ftruncate(b->fd, (off_t)atomic_load(&s->size)) != 0)
        errno = 0;
    s->ahead = 0;
}

enum outcome segment_create_cleaned(const struct log_io *io, const char *dir, int64_t base_offset,
                                    struct segment **segment)
{
    struct segment *s;
    struct body *b;
    enum outcome o = segment_new(io, dir, base_offset, 0, &s);
    if (o != OUT_OK)
        return o;
    o = body_new(s, ".cleaned", O_RDWR | O_CREAT | O_TRUNC, &b);
    if (o != OUT_OK) {
        store_hold_drop(&s->hold);
        return o;
    }
    atomic_store(&s->body, b);
    atomic_store(&s->max_timestamp, -1);
    atomic_store(&s->used, true);
    *segment = s;
    return OUT_OK;
}

/* Indexes of a sealed segment whose files are no good, from its batches. */
static enum outcome rebuild(struct segment *s, struct body *b, int32_t interval_bytes)
{
    struct scan scan;
    struct log_batch batch;
    enum outcome o;
    struct segment shadow = {.base_offset = s->base_offset, .max_timestamp = -1};
    index_fini(&b->offsets);
    index_fini(&b->times);
    atomic_store(&shadow.body, b);
    scan_init(&scan, s->io, b->fd, 0, s->size);
    while ((o = scan_next(&scan, &batch)) == OUT_OK)
        segment_note_batch(&shadow, &batch, scan.position - batch.size, interval_bytes);
    segment_note_end(&shadow);
    scan_fini(&scan);
    return o == OUT_END || o == OUT_MORE ? OUT_OK : o;
}

static enum outcome open_sealed(struct log *l, struct segment *s, struct body **body)
{
    char path[LOG_PATH_MAX];
    struct body *b;
    enum outcome o = body_new(s, "", O_RDONLY, &b);
    if (o != OUT_OK)
        return o;
    segment_path(path, s->dir, s->base_offset, FILE_INDEX, "");
    o = index_map(&b->offsets, s->io, path, s->size);
    segment_path(path, s->dir, s->base_offset, FILE_TIMEINDEX, "");
    if (o == OUT_OK)
        o = index_map(&b->times, s->io, path, s->size);
    bool empty = o == OUT_OK && s->size > 0 && index_count(&b->times) == 0; /* never saved */
    if (o == OUT_CORRUPT || o == OUT_NOT_FOUND || empty)
        o = rebuild(s, b, log_opts(l)->index_interval_bytes);
    if (o != OUT_OK) {
        body_free(s->io, b);
        return o;
    }
    *body = b;
    return OUT_OK;
}

enum outcome segment_body(struct log *l, struct segment *s, struct body **body)
{
    enum outcome o = OUT_OK;
    *body = atomic_load(&s->body);
    if (likely(*body != NULL))
        return OUT_OK;
    pthread_mutex_lock(&l->open_lock);
    *body = atomic_load(&s->body);
    if (*body == NULL) {
        o = open_sealed(l, s, body);
        if (o == OUT_OK)
            atomic_store(&s->body, *body);
    }
    pthread_mutex_unlock(&l->open_lock);
    return o;
}

/* A reader holds the segment first and looks at the body then, so: take the body away, then look
 * whether anybody holds the segment; whoever comes later opens it again. */
void segment_close_idle(struct segment *s)
{
    if (atomic_load(&s->unsaved) || atomic_load(&s->unsynced))
        return;
    struct body *b = atomic_exchange(&s->body, NULL);
    if (b == NULL)
        return;
    if (atomic_load(&s->hold.count) == 1)
        body_free(s->io, b);
    else
        atomic_store(&s->body, b);
}

static void note_recent(struct segment *s, int64_t offset, uint64_t position)
{
    struct recent *r = &s->recent[s->recent_next++ % COUNT_OF(s->recent)];
    atomic_store_explicit(&r->offset, -1, memory_order_relaxed);
    atomic_store_explicit(&r->position, position, memory_order_release);
    atomic_store_explicit(&r->offset, offset, memory_order_release);
}

void segment_note_batch(struct segment *s, const struct log_batch *b, uint64_t position,
                        int32_t interval_bytes)
{
    struct body *body = atomic_load_explicit(&s->body, memory_order_relaxed);
    int64_t relative = b->last_offset - s->base_offset;
    note_recent(s, b->base_offset, position);
    if (position == 0)
        s->first_timestamp = b->max_timestamp;
    if (b->max_timestamp > atomic_load_explicit(&s->max_timestamp, memory_order_relaxed)) {
        atomic_store_explicit(&s->max_timestamp, b->max_timestamp, memory_order_relaxed);
        s->max_timestamp_offset = b->last_offset;
    }
    if (s->since_index > (uint64_t)interval_bytes && position > 0 && relative <= INT32_MAX &&
        position <= UINT32_MAX) {
        index_add_offset(&body->offsets, (int32_t)relative, (uint32_t)position);
        index_add_time(&body->times, atomic_load_explicit(&s->max_timestamp, memory_order_relaxed),
                       (int32_t)(s->max_timestamp_offset - s->base_offset));
        s->since_index = 0;
    }
    s->since_index += b->size;
}

void segment_note_end(struct segment *s)
{
    struct body *body = atomic_load(&s->body);
    int64_t timestamp = atomic_load(&s->max_timestamp);
    if (timestamp != TIME_UNKNOWN)
        index_add_time(&body->times, timestamp,
                       (int32_t)(s->max_timestamp_offset - s->base_offset));
}

enum outcome segment_save_indexes_as(struct segment *s, const char *suffix, enum io_sync sync)
{
    char path[LOG_PATH_MAX];
    struct body *b = atomic_load(&s->body);
    segment_path(path, s->dir, s->base_offset, FILE_INDEX, suffix);
    enum outcome o = index_save(&b->offsets, s->io, path, sync);
    segment_path(path, s->dir, s->base_offset, FILE_TIMEINDEX, suffix);
    if (o == OUT_OK)
        o = index_save(&b->times, s->io, path, sync);
    if (o != OUT_OK) { /* a part looks like a whole one: better none, it is rebuilt */
        s->io->unlink(path);
        segment_path(path, s->dir, s->base_offset, FILE_INDEX, suffix);
        s->io->unlink(path);
        errno = 0;
    }
    return o;
}

enum outcome segment_save_indexes(struct segment *s, enum io_sync sync)
{
    return segment_save_indexes_as(s, "", sync);
}

static bool find_recent(const struct segment *s, int64_t offset, uint64_t *position)
{
    for (size_t i = 0; i < COUNT_OF(s->recent); i++) {
        const struct recent *r = &s->recent[i];
        if (atomic_load_explicit(&r->offset, memory_order_acquire) != offset)
            continue;
        *position = atomic_load_explicit(&r->position, memory_order_acquire);
        return atomic_load_explicit(&r->offset, memory_order_relaxed) == offset;
    }
    return false;
}

/* Where to begin looking for an offset: the batch itself when it is a new one, a place before it
 * that the index knows, or the segment's begin. */
static uint64_t find_from(const struct body *body, const struct segment *s, uint64_t size,
                          int64_t offset)
{
    uint32_t i;
    uint64_t position;
    if (find_recent(s, offset, &position) && position < size)
        return position;
    if (index_find_offset(&body->offsets, offset - s->base_offset, &i) &&
        index_position(&body->offsets, i) < size)
        return index_position(&body->offsets, i);
    return 0;
}

static COLD enum outcome bad_batch(const struct segment *s, uint64_t at)
{
    return fail(OUT_CORRUPT, "%s: bad batch at %llu of segment %lld", s->dir,
                (unsigned long long)at, (long long)s->base_offset);
}

enum outcome segment_find(struct body *body, const struct log_io *io, const struct segment *s,
                          uint64_t size, int64_t offset, uint64_t *position,
                          struct log_batch *header)
{
    uint8_t hop[HOP];
    uint64_t from = 0, at = find_from(body, s, size, offset);
    size_t held = 0;
    while (at < size) {
        if (held == 0 || at + LOG_BATCH_HEADER > from + held) {
            from = at;
            enum outcome o = io_read(io, body->fd, hop, MIN(sizeof hop, size - at), at, &held);
            if (o != OUT_OK)
                return o;
        }
        if (batch_parse(hop + (at - from), held - (size_t)(at - from), size - at, header) != OUT_OK)
            return bad_batch(s, at);
        if (header->last_offset >= offset) {
            *position = at;
            return OUT_OK;
        }
        at += header->size;
    }
    return OUT_END;
}

enum outcome segment_find_mapped(const struct body *body, const uint8_t *map,
                                 const struct segment *s, uint64_t size, int64_t offset,
                                 uint64_t *position, struct log_batch *header)
{
    uint64_t at = find_from(body, s, size, offset);
    /* Each header says where the next one is: without this, every hop waits for memory. */
    for (uint64_t ahead = 0; ahead < HOP_AHEAD; ahead += CACHE_LINE)
        __builtin_prefetch(map + at + ahead);
    while (at < size) {
        __builtin_prefetch(map + at + HOP_AHEAD);
        if (batch_parse(map + at, (size_t)(size - at), size - at, header) != OUT_OK)
            return bad_batch(s, at);
        if (header->last_offset >= offset) {
            *position = at;
            return OUT_OK;
        }
        at += header->size;
    }
    return OUT_END;
}
