/* SPDX-License-Identifier: MIT */
/* The store's own (private to meta/): what store.c, replay.c, snapshot.c and identity.c share. */
#ifndef META_PRIVATE_H
#define META_PRIVATE_H

#include "log/log.h"
#include "meta/image.h"

#define META_BATCH_MAX MiB(8)     /* Kafka's own limit for a batch of the metadata log */
#define META_SCRATCH_MAX MiB(64)
#define META_FILE_MAX 64

enum meta_control {
    META_LEADER_CHANGE = 2,
    META_SNAPSHOT_HEADER = 3,
    META_SNAPSHOT_FOOTER = 4,
    META_KRAFT_VERSION = 5,
    META_KRAFT_VOTERS = 6,
};

/* A quorum's records that snapshots must repeat, as they were read; size 0: none. */
struct meta_quorum {
    int16_t version;            /* kraft.version: 1 has voters with directory ids */
    uint8_t version_record[64];
    size_t version_size;
    uint8_t voters_record[1024];
    size_t voters_size;
};

struct meta {
    struct meta_options options;
    struct log *log;
    struct log_meta_properties properties;
    struct uuid directory_id;
    int32_t epoch;              /* of this leader, that is: of this start */
    const struct meta_image *image;
    struct meta_quorum quorum;
    struct log_builder builder;
    int64_t snapshot_bytes;     /* size of the log when a snapshot was last tried */
    bool in_transaction;        /* the log ended in the middle of a metadata transaction */
    char path[LOG_PATH_MAX];
};

/* identity.c */
MUST enum outcome identify(struct meta *m);
MUST enum outcome quorum_state_write(struct meta *m);
int32_t quorum_state_epoch(const struct meta *m);

/* replay.c: fills image, quorum, in_transaction. */
MUST enum outcome replay(struct meta *m);
/* The data records of a snapshot file, without applying them. OUT_NOT_FOUND. */
MUST enum outcome snapshot_records(const char *dir, const char *name, struct meta_change *change);

/* snapshot.c */
MUST enum outcome snapshot_write(struct meta *m, int64_t now_ms);
/* When the log has grown by more than `bytes` since the last one; a failure only means that the
 * next start reads more. */
void snapshot_maybe(struct meta *m, int64_t bytes, int64_t now_ms);
/* A snapshot file of these records. */
MUST enum outcome snapshot_file(const char *dir, const char *name, int32_t epoch,
                                const struct meta_quorum *quorum, const struct meta_change *change,
                                int64_t now_ms);
/* How snapshots are named, and whether a name is one. */
void snapshot_name(char name[static META_FILE_MAX], int64_t offset, int32_t epoch);
bool snapshot_name_read(const char *name, int64_t *offset, int32_t *epoch);

/* records.c: the records that make an image. */
MUST enum outcome image_records(const struct meta_image *image, struct meta_change *change);
/* Versions of records that a cluster of this metadata.version knows. */
struct meta_versions {
    int16_t partition, partition_change, register_broker;
};
struct meta_versions versions_of(const struct meta_image *image);

#endif
