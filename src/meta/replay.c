/* SPDX-License-Identifier: MIT */
/*
 * From the disk to an image: the newest snapshot, then the log behind it.
 *
 * Records between BeginTransaction and EndTransaction count together (KIP-868): an image is put
 * aside at the beginning and taken back when the transaction is aborted or the log ends before its
 * end.
 */
#include "base/check.h"
#include "meta/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct replay {
    struct meta *meta;
    struct meta_image *draft;
    struct meta_image *aside;   /* before the transaction that is running */
    struct meta_change *change; /* collects the records instead of applying them */
    struct arena scratch;
    int64_t from;               /* records below are in the snapshot */
};

/* ---- control records ---- */

static enum outcome replay_control(struct meta_quorum *q, const struct log_record *record,
                                   struct arena *scratch)
{
    if (record->key.size < 4)
        return fail(OUT_CORRUPT, "a control record of the metadata has no type");
    uint16_t type = get_be16(record->key.at + 2);
    struct bytes value = record->value;
    if (type == META_KRAFT_VERSION) {
        struct k_raft_version_record r;
        if (wire_decode(&wire_k_raft_version_record, 0, value, scratch, &r, NULL) != OUT_OK ||
            value.size > sizeof q->version_record)
            return fail(OUT_CORRUPT, "the metadata has a damaged version of the quorum");
        q->version = r.k_raft_version;
        q->version_size = value.size;
        memcpy(q->version_record, value.at, value.size);
    } else if (type == META_KRAFT_VOTERS) {
        if (value.size > sizeof q->voters_record)
            return fail(OUT_UNSUPPORTED, "the metadata belongs to a quorum of many controllers");
        q->voters_size = value.size;
        memcpy(q->voters_record, value.at, value.size);
    }
    return OUT_OK;
}

/* ---- data records ---- */

static enum outcome begin_transaction(struct replay *r)
{
    if (r->aside != NULL)
        return fail(OUT_CORRUPT, "the metadata begins a transaction inside another");
    enum outcome o = image_finish(r->draft);
    struct meta_image *copy = o == OUT_OK ? image_draft(r->draft) : NULL;
    if (copy == NULL)
        return fail(OUT_NO_MEMORY, "read the metadata");
    r->aside = r->draft;
    r->draft = copy;
    return OUT_OK;
}

static void abort_transaction(struct replay *r)
{
    if (r->aside == NULL)
        return;
    meta_image_drop(r->draft);
    r->draft = r->aside;
    r->aside = NULL;
}

static enum outcome replay_data(struct replay *r, const struct log_record *record)
{
    uint32_t type, version;
    struct bytes body;
    enum outcome o = frame_read(record->value, &type, &version, &body);
    if (o != OUT_OK)
        return o;
    if (r->change != NULL)
        return meta_change_add_framed(r->change, record->value);
    if (type == METADATA_BEGIN_TRANSACTION_RECORD) {
        o = begin_transaction(r);
    } else if (type == METADATA_ABORT_TRANSACTION_RECORD) {
        abort_transaction(r);
    } else if (type == METADATA_END_TRANSACTION_RECORD) {
        meta_image_drop(r->aside);
        r->aside = NULL;
    }
    return o == OUT_OK ? image_apply(r->draft, record->offset, record->value, &r->scratch) : o;
}

static enum outcome replay_batch(void *context, const struct log_batch *batch)
{
    struct replay *r = context;
    struct log_records walk;
    struct log_record record;
    bool control = (batch->attributes & LOG_ATTR_CONTROL) != 0;
    enum outcome o = log_records_begin(&walk, batch, META_SCRATCH_MAX);
    while (o == OUT_OK && (o = log_records_next(&walk, &record)) == OUT_OK) {
        if (record.offset < r->from)
            continue;
        if (!control)
            o = replay_data(r, &record);
        else if (r->change == NULL)
            o = replay_control(&r->meta->quorum, &record, &r->scratch);
        arena_reset(&r->scratch);
    }
    log_records_fini(&walk);
    return o == OUT_END ? OUT_OK : o;
}

/* ---- snapshots ---- */

static enum outcome replay_file(struct replay *r, const char *dir, const char *name)
{
    char *text;
    size_t size;
    enum outcome o = logdir_file_read(dir, name, &text, &size);
    if (o != OUT_OK)
        return o;
    struct bytes rest = bytes_view(text, size);
    struct log_batch batch;
    while (o == OUT_OK && rest.size > 0) {
        o = log_batch_next(&rest, &batch);
        if (o != OUT_OK)
            o = fail(OUT_CORRUPT, "the metadata snapshot is cut off");
        else if (!log_batch_crc_good(&batch))
            o = fail(OUT_CORRUPT, "the metadata snapshot has a wrong checksum");
        else
            o = replay_batch(r, &batch);
    }
    free(text);
    return o == OUT_OK ? o : outcome_add(o, "read %s/%s", dir, name);
}

enum outcome snapshot_records(const char *dir, const char *name, struct meta_change *change)
{
    struct replay r = {.change = change, .from = -1};
    arena_init(&r.scratch, META_SCRATCH_MAX);
    enum outcome o = replay_file(&r, dir, name);
    arena_fini(&r.scratch);
    return o;
}

/* The newest snapshot's name; false: none. */
static bool newest_snapshot(const char *path, char name[static META_FILE_MAX], int64_t *end_offset)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    bool found = false;
    int32_t newest_epoch = -1;
    *end_offset = 0;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int64_t offset;
        int32_t epoch;
        if (!snapshot_name_read(e->d_name, &offset, &epoch) ||
            (found && (offset < *end_offset || (offset == *end_offset && epoch < newest_epoch))))
            continue;
        snapshot_name(name, offset, epoch);
        *end_offset = offset;
        newest_epoch = epoch;
        found = true;
    }
    if (dir != NULL)
        closedir(dir);
    errno = 0;
    return found;
}

static enum outcome replay_snapshot(struct meta *m, struct replay *r)
{
    char name[META_FILE_MAX];
    int64_t end;
    if (!newest_snapshot(m->path, name, &end))
        return OUT_OK;
    enum outcome o = replay_file(r, m->path, name);
    r->from = end;
    r->draft->offset = end - 1;
    r->draft->features_epoch = end - 1;
    return o;
}

/* ---- the log ---- */

/* A log that ends below its snapshot lost what the snapshot has: it goes on behind it. */
static enum outcome replay_log(struct meta *m, struct replay *r)
{
    struct store_stat stat;
    store_stat(log_store(m->log), &stat);
    if (stat.start_offset > r->from)
        return fail(OUT_CORRUPT, "the metadata log begins at offset %lld, and there is no snapshot "
                    "of what was before", (long long)stat.start_offset);
    if (stat.end_offset < r->from)
        return log_restart_at(m->log, r->from);
    int64_t from = MAX(stat.start_offset, r->from);
    return from == stat.end_offset ? OUT_OK
                                   : log_scan(m->log, from, stat.end_offset, replay_batch, r);
}

enum outcome replay(struct meta *m)
{
    struct replay r = {.meta = m, .draft = image_draft(NULL)};
    if (r.draft == NULL)
        return fail(OUT_NO_MEMORY, "read the metadata");
    arena_init(&r.scratch, META_SCRATCH_MAX);
    r.draft->node_id = m->options.node_id;
    memcpy(r.draft->cluster_id_text, m->properties.cluster_id, sizeof r.draft->cluster_id_text);
    r.draft->cluster_id = bytes_of(r.draft->cluster_id_text);
    enum outcome o = replay_snapshot(m, &r);
    if (o == OUT_OK)
        o = replay_log(m, &r);
    m->in_transaction = r.aside != NULL;
    abort_transaction(&r);
    arena_fini(&r.scratch);
    if (o == OUT_OK)
        o = image_finish(r.draft);
    if (o == OUT_OK)
        m->image = r.draft;
    else
        meta_image_drop(r.draft);
    return o == OUT_OK ? o : outcome_add(o, "replay the metadata log in %s", m->path);
}
