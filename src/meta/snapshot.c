/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of the metadata, as KRaft writes them (KIP-630): a header and the quorum's records in a
 * control batch, the image in data batches, a footer. The file is whole or not there. Once it is,
 * the log below it and older snapshots go.
 */
#include "base/check.h"
#include "meta/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECORDS_PER_BATCH 4096
#define NAME_SIZE 42 /* 20 digits, '-', 10 digits, ".checkpoint" */

void snapshot_name(char name[static META_FILE_MAX], int64_t offset, int32_t epoch)
{
    snprintf(name, META_FILE_MAX, "%020lld-%010d.checkpoint", (long long)offset, epoch);
}

bool snapshot_name_read(const char *name, int64_t *offset, int32_t *epoch)
{
    char again[META_FILE_MAX];
    if (strlen(name) != NAME_SIZE || name[20] != '-')
        return false;
    *offset = strtoll(name, NULL, 10);
    *epoch = (int32_t)strtol(name + 21, NULL, 10);
    if (*offset < 0 || *epoch < 0)
        return false;
    snapshot_name(again, *offset, *epoch);
    return strcmp(name, again) == 0;
}

/* ---- the file ---- */

struct writer {
    struct log_builder builder;
    uint8_t *at;
    size_t size, room;
    int64_t offset; /* of the next batch */
    int32_t epoch;
    int64_t now_ms;
    struct arena arena;
};

static enum outcome write_batch(struct writer *w, int16_t attributes)
{
    struct log_builder_end end = log_builder_plain();
    uint8_t *batch;
    size_t size;
    end.base_offset = w->offset;
    end.leader_epoch = w->epoch;
    end.attributes = attributes;
    int32_t count = w->builder.count;
    enum outcome o = log_builder_finish(&w->builder, &end, &batch, &size);
    if (o != OUT_OK)
        return o;
    if (w->size + size > w->room) {
        size_t room = MAX(w->size + size, 2 * w->room);
        uint8_t *bigger = realloc(w->at, room);
        if (bigger == NULL)
            return fail(OUT_NO_MEMORY, "write a metadata snapshot");
        w->at = bigger;
        w->room = room;
    }
    memcpy(w->at + w->size, batch, size);
    w->size += size;
    w->offset += count;
    log_builder_reset(&w->builder);
    return OUT_OK;
}

static void add_control(struct writer *w, enum meta_control type, struct bytes value)
{
    uint8_t key[4] = {0, 0, 0, (uint8_t)type};
    log_builder_add(&w->builder, w->now_ms, bytes_view(key, sizeof key), value, NULL, 0);
}

static enum outcome write_header(struct writer *w, const struct meta_quorum *quorum)
{
    struct snapshot_header_record r;
    struct bytes value;
    wire_defaults(&wire_snapshot_header_record, &r);
    r.last_contained_log_timestamp = w->now_ms;
    enum outcome o = wire_encode_new(&wire_snapshot_header_record, 0, &r, &w->arena, &value);
    if (o != OUT_OK)
        return o;
    add_control(w, META_SNAPSHOT_HEADER, value);
    if (quorum->version_size > 0)
        add_control(w, META_KRAFT_VERSION,
                    bytes_view(quorum->version_record, quorum->version_size));
    if (quorum->voters_size > 0)
        add_control(w, META_KRAFT_VOTERS, bytes_view(quorum->voters_record, quorum->voters_size));
    return write_batch(w, LOG_ATTR_CONTROL);
}

static enum outcome write_footer(struct writer *w)
{
    struct snapshot_footer_record r;
    struct bytes value;
    wire_defaults(&wire_snapshot_footer_record, &r);
    enum outcome o = wire_encode_new(&wire_snapshot_footer_record, 0, &r, &w->arena, &value);
    if (o != OUT_OK)
        return o;
    add_control(w, META_SNAPSHOT_FOOTER, value);
    return write_batch(w, LOG_ATTR_CONTROL);
}

static enum outcome write_records(struct writer *w, const struct meta_change *change)
{
    enum outcome o = OUT_OK;
    int32_t count = 0;
    for (const struct meta_record *r = change->first; r != NULL && o == OUT_OK; r = r->next) {
        log_builder_add(&w->builder, w->now_ms, (struct bytes){NULL, 0}, r->framed, NULL, 0);
        if (++count == RECORDS_PER_BATCH || r->next == NULL) {
            o = write_batch(w, 0);
            count = 0;
        }
    }
    return o;
}

enum outcome snapshot_file(const char *dir, const char *name, int32_t epoch,
                           const struct meta_quorum *quorum, const struct meta_change *change,
                           int64_t now_ms)
{
    struct writer w = {.epoch = epoch, .now_ms = now_ms};
    log_builder_init(&w.builder, META_BATCH_MAX);
    arena_init(&w.arena, KiB(64));
    enum outcome o = write_header(&w, quorum);
    if (o == OUT_OK)
        o = write_records(&w, change);
    if (o == OUT_OK)
        o = write_footer(&w);
    if (o == OUT_OK)
        o = logdir_file_write(dir, name, bytes_view(w.at, w.size));
    log_builder_fini(&w.builder);
    arena_fini(&w.arena);
    free(w.at);
    return o == OUT_OK ? o : outcome_add(o, "write %s/%s", dir, name);
}

/* ---- when ---- */

static void delete_older(const char *path, int64_t offset)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int64_t its_offset;
        int32_t epoch;
        if (snapshot_name_read(e->d_name, &its_offset, &epoch) && its_offset < offset)
            unlinkat(dirfd(dir), e->d_name, 0); /* one that stays is only in the way */
    }
    if (dir != NULL)
        closedir(dir);
    errno = 0;
}

/* The log below the snapshot: all of it, since a new segment begins there. */
static enum outcome trim(struct meta *m, int64_t offset, int64_t now_ms)
{
    int64_t start;
    int32_t deleted;
    enum outcome o = log_roll(m->log, now_ms);
    if (o == OUT_OK)
        o = store_trim(log_store(m->log), offset, &start);
    if (o == OUT_OK)
        o = log_retain(m->log, now_ms, &deleted);
    return o;
}

enum outcome snapshot_write(struct meta *m, int64_t now_ms)
{
    struct meta_change change;
    struct store_stat stat;
    char name[META_FILE_MAX];
    int64_t flushed;
    store_stat(log_store(m->log), &stat);
    meta_change_init(&change);
    snapshot_name(name, stat.end_offset, m->epoch);
    /* A snapshot must never be ahead of its log. */
    enum outcome o = store_flush(log_store(m->log), &flushed);
    if (o == OUT_OK)
        o = image_records(m->image, &change);
    if (o == OUT_OK)
        o = snapshot_file(m->path, name, m->epoch, &m->quorum, &change, now_ms);
    meta_change_fini(&change);
    if (o == OUT_OK) {
        delete_older(m->path, stat.end_offset);
        o = trim(m, stat.end_offset, now_ms);
    }
    return o;
}

void snapshot_maybe(struct meta *m, int64_t bytes, int64_t now_ms)
{
    struct store_stat stat;
    store_stat(log_store(m->log), &stat);
    if (stat.size_bytes - m->snapshot_bytes <= bytes)
        return;
    enum outcome o = snapshot_write(m, now_ms);
    (void)o; /* the log is whole without it; the next growth tries again */
    store_stat(log_store(m->log), &stat);
    m->snapshot_bytes = stat.size_bytes;
}
