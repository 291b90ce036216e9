/* SPDX-License-Identifier: MIT */
/*
 * A durable partition log, byte-compatible with Apache Kafka's directory layout, usable without a
 * broker. A log is a `struct store` (store/store.h): append, read, seek, trim, flush, stat go
 * through log_store(). This header adds what only a log on disk has: opening with recovery,
 * retention, leader epochs, producer state, record batches (reading and building), and the files of
 * a log directory.
 *
 * Threads: as store.h says; log_configure, log_roll, log_retain, log_flush may run beside appends
 * and reads. log_open, log_close, log_delete: nobody else uses the log.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "store/store.h"

#include <sys/types.h>

/* ---- options ---- */

enum log_timestamp_type { LOG_CREATE_TIME, LOG_APPEND_TIME };
enum log_codec { LOG_NONE, LOG_GZIP, LOG_SNAPPY, LOG_LZ4, LOG_ZSTD, LOG_CODEC_PRODUCER };
enum log_validation { LOG_VALIDATE_PLAIN, LOG_VALIDATE_FULL };

/* What a topic's configuration means to its logs; log_options_default() gives Kafka's defaults. */
struct log_options {
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int32_t index_interval_bytes;
    int32_t segment_index_bytes;
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: any size */
    int32_t max_message_bytes;
    enum log_timestamp_type timestamp_type;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    bool cleanup_delete, cleanup_compact; /* cleanup.policy; compact demands keys */
    bool preallocate; /* takes a new segment's space at once, as far as there is */
    int64_t allocate_ahead_bytes; /* most that is taken ahead of what is written; 0: nothing */
    enum log_codec compression; /* LOG_CODEC_PRODUCER keeps what the client sent */
    int32_t compression_level;  /* INT32_MIN: the codec's default */
    enum log_validation validation; /* FULL decompresses what clients send and walks the records */
    int64_t producer_expiration_ms;
    int64_t file_delete_delay_ms;
    int64_t delete_retention_ms;    /* compaction keeps tombstones and markers for so long */
    int64_t min_compaction_lag_ms;  /* younger records are not compacted */
    int64_t max_compaction_lag_ms;  /* older ones are, however few */
};
void log_options_default(struct log_options *o);

/* ---- the kernel's calls, replaceable so that tests can make them fail ---- */

struct log_io {
    int (*open)(const char *path, int flags, unsigned mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *to, size_t size, off_t at);
    ssize_t (*pwrite)(int fd, const void *from, size_t size, off_t at);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*write_back)(int fd, off_t at, off_t size); /* starts write-back, waits for nothing */
    int (*write_out)(int fd, off_t at, off_t size);  /* ... and waits, but not for the journal */
    int (*allocate)(int fd, off_t at, off_t size); /* takes space; the file stays as long */
    int (*allocate_ahead)(int fd, off_t at, off_t size); /* ... but for the last of the disk */
};
extern const struct log_io log_io_kernel;

/* ---- open and close ---- */

enum log_shutdown { LOG_UNCLEAN, LOG_CLEAN };

struct log_open {
    const char *path;         /* the partition's directory; made when missing */
    struct uuid topic_id;     /* zero: as partition.metadata says; another: OUT_EXISTS */
    int64_t recovery_point;   /* from the checkpoint, 0 when unknown */
    int64_t start_offset;     /* from the checkpoint, 0 when not there */
    enum log_shutdown was;    /* whether .kafka_cleanshutdown was there */
    int64_t now_ms;
    const struct log_io *io;  /* NULL: log_io_kernel */
    struct log_options options;
    /* The disk failed and the log has gone offline; once, on whichever thread saw it, under the
     * log's locks, with the reason in the trail. NULL: nobody is told. */
    void (*failed)(void *context);
    void *context;
    _Atomic int64_t *verified; /* grows by the bytes that the open verifies; NULL: nobody looks */
};

struct log;

/* Opens (or makes) a partition. Recovers what is not trusted: verifies from the recovery point,
 * truncates at the first bad batch, rebuilds indexes, producers and epochs. Failure: OUT_IO and the
 * like with a trail; nothing stays open. */
MUST enum outcome log_open(const struct log_open *what, struct log **log);

/* When thousands of logs are closed at once, a flush of the whole file system (logdir_sync) is a
 * matter of a second, one for each of their files of many. After this the log's flushes write what
 * they have and do not wait for the disk: nothing may be said to be safe, and no checkpoint or
 * marker written, before logdir_sync. Nobody else uses the log. */
void log_sync_later(struct log *l);

/* LOG_CLEAN writes indexes and the producer snapshot and flushes; it may fail (OUT_OFFLINE, OUT_IO)
 * and closes all the same. LOG_UNCLEAN just lets go, as a crash would. */
MUST enum outcome log_close(struct log **log, enum log_shutdown how);

/* Closes the log and renames its directory to topic-partition.<uuid>-delete: gone at the next start
 * at the latest; log_delete_finish removes the directory `path` (as given back) now. */
#define LOG_PATH_MAX 1024
MUST enum outcome log_delete(struct log **log, char path[static LOG_PATH_MAX]);
MUST enum outcome log_delete_finish(const char *path);

/* Before a directory is renamed or removed under an open log: from now on nothing is written,
 * opened or read by its path; appends, new reads and flushes answer OUT_OFFLINE. Views that are
 * held stay good. */
void log_retire(struct log *l);

/* Moving to another directory beside appends and reads: `copy` is a log opened there, at a path of
 * its own, to which log_copy brings records until few are left (*left: 0 none, 1 few). Then
 * log_move copies the rest while appends wait and puts the copy in the place of `l`; its path is
 * `path` now, and what it left is at `aside`, to be removed. A failure leaves `l` as it was, or
 * offline; *copy is NULL when it was taken over. Not beside compaction and retention. */
struct log_moved {
    const char *path, *aside;
    void *context; /* of log_open's `failed`, from now on */
    int64_t now_ms;
};
MUST enum outcome log_copy(struct log *l, struct log *copy, size_t most, int64_t now_ms,
                           size_t *left);
MUST enum outcome log_move(struct log *l, struct log **copy, const struct log_moved *to);

struct store *log_store(struct log *l);
struct uuid log_topic_id(const struct log *l);
const char *log_path(const struct log *l);

/* New options for appends that begin after it; the old ones live until the log is closed. */
MUST enum outcome log_configure(struct log *l, const struct log_options *o);

/* What recovery did, for the operator's log. */
struct log_recovered {
    int64_t segments_scanned;
    int64_t bytes_scanned;
    int64_t bytes_truncated;
    int32_t indexes_rebuilt;
};
void log_recovered(const struct log *l, struct log_recovered *r);

/* ---- maintenance: background threads ---- */

/* Deletes segments by age, size and start offset, expires producers, unlinks what was deleted
 * file_delete_delay ago, closes idle files. `deleted`: segments dropped (the start offset
 * moved). */
MUST enum outcome log_retain(struct log *l, int64_t now_ms, int32_t *deleted);

/* ---- compaction: one background thread a log; appends, reads and retention go on ---- */

/* What there is to compact. Below first_dirty an earlier pass was. */
struct log_dirt {
    int64_t first_dirty;   /* as given, or the log's start when it lies outside the log */
    int64_t end;           /* a segment's base: from there on nothing may be compacted yet */
    int64_t clean_bytes, dirty_bytes;
    bool due;              /* max_compaction_lag_ms demands it */
};
/* Rolls the active segment when max_compaction_lag_ms wants it compacted. May read a few headers.
 */
MUST enum outcome log_dirt(struct log *l, int64_t first_dirty, int64_t now_ms, struct log_dirt *d);

struct log_compact {
    bool expires;          /* records may be past their time: those go too */
    int64_t ttl_ms;        /* the topic's, -1: none */
    int64_t first_dirty, end; /* as log_dirt said */
    int64_t now_ms;
    size_t key_bytes;         /* memory for keys, 24 bytes each; more keys take several passes */
    double key_load;          /* up to which it is filled, 0.9 */
    /* After each bite of bytes read or written; may wait; false ends the pass. NULL: go on. */
    bool (*go_on)(void *context, size_t bytes);
    /* Runs work(arg) to its end in a thread that is scheduled at once: what is done under locks
     * that clients wait for, when the pass itself has the lowest priority. NULL: here. */
    enum outcome (*lend)(void *context, enum outcome (*work)(void *arg), void *arg);
    void *context;
};
struct log_compacted {
    int64_t next_dirty;       /* first_dirty of the next pass; as it was when this one failed */
    int64_t bytes_read, bytes_written;
    int64_t records_read, records_kept;
    int64_t invalid;          /* records without key (dropped), batches that can't be read (kept) */
    int32_t segments_before, segments_after;
};
/* One pass, offsets stay as they are. OUT_CLOSED: go_on ended it; OUT_AGAIN: retention was faster,
 * or a full disk keeps something from being flushed.
 * A failure leaves the log as good as it was; when files can't be renamed it goes offline. */
MUST enum outcome log_compact(struct log *l, const struct log_compact *what,
                              struct log_compacted *done);

/* Starts writing the active segment's pages to disk when some MiB wait for it; does not wait for
 * them. Optional: keeps later flushes short under a heavy load that nobody flushes. Not for
 * reactors: the kernel's work (ten times that of the append itself) is done in the calling
 * thread. */
void log_write_back(struct log *l);

/* Where segments begin and when each was last written to, in order of offset. Looks at the files;
 * copies up to `room`, returns how many there are. */
struct log_piece {
    int64_t base_offset, modified_ms;
};
size_t log_pieces(struct log *l, struct log_piece *to, size_t room);

/* Begins a new segment when the active one is not empty. */
MUST enum outcome log_roll(struct log *l, int64_t now_ms);

/* Physically drops everything at and above `offset`. Not beside appends of others: callers are
 * followers and tests. */
MUST enum outcome log_truncate(struct log *l, int64_t offset);

/* Drops everything and begins again at `offset` (a follower whose leader begins later). */
MUST enum outcome log_restart_at(struct log *l, int64_t offset);

/* ---- leader epochs ---- */

/* A leader begins: notes (epoch, log end). Older or equal epochs change nothing. */
MUST enum outcome log_epoch_begin(struct log *l, int32_t epoch);

/* OffsetForLeaderEpoch: the largest known epoch <= `epoch` and where it ends; (-1, -1) unknown. */
void log_epoch_end(struct log *l, int32_t epoch, int32_t *found, int64_t *end_offset);
int32_t log_epoch_latest(struct log *l);            /* -1: none */
int32_t log_epoch_at(struct log *l, int64_t offset); /* epoch of a record, -1 unknown */

/* ---- producers (DescribeProducers) and transactions ---- */

struct log_producer {
    int64_t producer_id;
    int32_t epoch, last_sequence;
    int64_t last_timestamp;
    int32_t coordinator_epoch;
    int64_t txn_start_offset; /* -1: none open */
};
/* Copies up to `room`, returns how many there are. */
size_t log_producers(struct log *l, struct log_producer *to, size_t room);

struct log_aborted {
    int64_t producer_id, first_offset, last_offset, stable_offset;
};
/* Aborted transactions overlapping [from, to), ascending by first offset, in the arena. */
MUST enum outcome log_aborted(struct log *l, int64_t from, int64_t to, struct arena *arena,
                              struct log_aborted **list, size_t *count);

/* ---- record batches ---- */

#define LOG_BATCH_HEADER 61
#define LOG_BATCH_OVERHEAD 12 /* base offset and length, not counted in batch_length */
enum {
    LOG_ATTR_CODEC = 7,
    LOG_ATTR_APPEND_TIME = 8,
    LOG_ATTR_TXN = 16,
    LOG_ATTR_CONTROL = 32,
    LOG_ATTR_DELETE_HORIZON = 64,
};

/* Header of one batch, any magic; for magic 0 and 1 a (wrapper) message stands for a batch. */
struct log_batch {
    const uint8_t *at; /* the whole batch */
    size_t size;
    int64_t base_offset, last_offset;
    int8_t magic;
    int32_t leader_epoch; /* -1 below magic 2 */
    int16_t attributes;
    int64_t base_timestamp, max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;        /* -1 unknown (magic 0, 1) */
    uint32_t crc;
};

/* Takes the batch at *rest and advances. OUT_MORE: cut off (or nothing); OUT_CORRUPT_MESSAGE:
 * lengths or magic are wrong; OUT_INVALID_RECORD: offsets are. The checksum is not looked at. */
MUST enum outcome log_batch_next(struct bytes *rest, struct log_batch *batch);
MUST bool log_batch_crc_good(const struct log_batch *batch);

struct log_record {
    int64_t offset;
    int64_t timestamp;
    struct bytes key, value; /* null: at NULL */
    int32_t header_count;
    struct bytes headers;    /* for log_header_next */
};

/* Walk of a batch's records: log_records_begin, then log_records_next until OUT_END;
 * log_records_fini always. Views point into the batch or into memory of the walk (compressed
 * batches), which is bounded by `limit_bytes`. OUT_CORRUPT_MESSAGE, OUT_BAD_COMPRESSION,
 * OUT_INVALID_RECORD (records do not fit the header), OUT_TOO_LARGE (above the limit),
 * OUT_NO_MEMORY. */
struct log_records {
    struct log_batch batch;
    struct bytes rest;
    uint8_t *memory;       /* decompressed records, NULL when not compressed */
    int32_t index;         /* of the next record */
    int64_t base_offset;   /* of inner offsets; magic 0 and 1 */
};
MUST enum outcome log_records_begin(struct log_records *r, const struct log_batch *b,
                                    size_t limit_bytes);
MUST enum outcome log_records_next(struct log_records *r, struct log_record *record);
void log_records_fini(struct log_records *r);

struct log_header {
    struct bytes key, value;
};
/* False at the end. Only for headers of a record that log_records_next gave. */
bool log_header_next(struct bytes *rest, struct log_header *h);

/* ---- times to live ---- */

/* Whole seconds ("30") or a duration ("250ms", "1m30s"); false: neither. */
bool log_duration(struct bytes text, int64_t *ms);
/* The deadline of a record by its header Nats-TTL, else by its topic's (-1: none); 0: never. */
int64_t log_record_deadline(const struct log_record *record, int64_t ttl_ms);
/* Takes records that are past their time out of a mapped view. It stays the file's when its first
 * batch has none, and ends before the first that has (*cut); else it becomes memory. A batch that
 * is not whole is cut off. On failure the view is as it was. */
MUST enum outcome log_view_thin(struct store_view *view, int64_t ttl_ms, int64_t now_ms,
                                bool *cut);

/* Builds one uncompressed magic-2 batch in memory of the builder. */
struct log_builder {
    uint8_t *at;
    size_t size, room, limit;
    int32_t count;
    int64_t base_timestamp, max_timestamp;
    int16_t attributes;
    bool failed; /* out of memory or above the limit: finish says so */
};
void log_builder_init(struct log_builder *b, size_t limit_bytes);
void log_builder_reset(struct log_builder *b); /* empty again, memory kept */
void log_builder_fini(struct log_builder *b);
/* Adds a record. Returns the batch's size so far. */
size_t log_builder_add(struct log_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct log_header *headers, int32_t header_count);

struct log_builder_end {
    int64_t base_offset;    /* 0: append assigns it */
    int32_t leader_epoch;
    int64_t producer_id;    /* -1 none */
    int16_t producer_epoch; /* -1 none */
    int32_t base_sequence;  /* -1 none */
    int16_t attributes;     /* LOG_ATTR_TXN, LOG_ATTR_CONTROL */
};
/* Writes header and checksum; `batch` is mutable memory of the builder until reset. OUT_NO_MEMORY,
 * OUT_TOO_LARGE, OUT_INVALID (no records). */
MUST enum outcome log_builder_finish(struct log_builder *b, const struct log_builder_end *e,
                                     uint8_t **batch, size_t *size);
/* The end of an ordinary batch: no producer, no attributes. */
struct log_builder_end log_builder_plain(void);

/* A transaction marker (control batch with one record). */
enum log_marker { LOG_MARKER_ABORT, LOG_MARKER_COMMIT };
void log_builder_marker(struct log_builder *b, int64_t timestamp, enum log_marker type,
                        int32_t coordinator_epoch);

/* Whole payloads: `to` is malloc'ed, of *size bytes. Bounded by limit_bytes (OUT_TOO_LARGE). */
MUST enum outcome log_decompress(enum log_codec codec, struct bytes from, size_t limit_bytes,
                                 uint8_t **to, size_t *size);
MUST enum outcome log_compress(enum log_codec codec, int32_t level, struct bytes from, uint8_t **to,
                               size_t *size);
const char *log_codec_name(enum log_codec codec);

/* ---- reading whole logs: coordinators, dumps ---- */

/* Calls `each` for every batch from `from` up to `to`, in order; the batch is in memory until
 * `each` returns; anything but OUT_OK from it (OUT_END is not allowed) ends the scan and is
 * returned. Reads a few MiB at a time. */
MUST enum outcome log_scan(struct log *l, int64_t from, int64_t to,
                           enum outcome (*each)(void *context, const struct log_batch *batch),
                           void *context);

/* ---- what other stores of record batches (stream/) check and remember alike ---- */

/* One batch of any origin but STORE_REPLICA. What a client's must be is checked, and it is patched
 * (timestamps, checksum); the caller frees `replaced`, which is NULL after a refusal. */
struct log_checked {
    struct log_batch batch;
    int64_t log_append_time_ms; /* -1 with CreateTime */
    uint8_t *replaced;          /* malloc'ed recompressed batch, NULL: as it came */
    bool reached_log;           /* got past what Kafka checks before it looks at the log */
};
MUST enum outcome log_check_batch(const struct log_options *opts, const struct store_append *a,
                                  struct log_checked *c, struct store_appended *done);
/* A leader's batches: whole, good checksums, ascending from `next` on; at least one. *whole: their
 * bytes, *end: the offset behind them. */
MUST enum outcome log_check_copy(const struct store_append *a, int64_t next,
                                 struct log_batch *first, size_t *whole, int64_t *end);
/* Whether a refusal carries the log's start in a Produce reply. */
bool log_refusal_tells_start(enum outcome o);
/* Base offset and (but for STORE_RAFT) leader epoch of a checked batch, outside the checksum. */
void log_number_batch(uint8_t *at, const struct store_append *a, int64_t base_offset);

/* The first record of a batch at or after both; place->offset stays as it is when there is none. */
MUST enum outcome log_seek_batch(const struct log_batch *b, int64_t timestamp, int64_t start_offset,
                                 struct store_place *place);

/* What a log remembers of its batches: producers, open and aborted transactions, leader epochs. In
 * memory; every call under a lock of the owner. */
struct log_ledger;
struct log_ledger *log_ledger_new(void); /* NULL: out of memory */
void log_ledger_free(struct log_ledger *g);
/* Before a batch of our numbering is written: its producer's sequence and epoch. A duplicate fills
 * `done`. */
MUST enum outcome log_ledger_admit(struct log_ledger *g, const struct log_batch *b,
                                   const struct store_append *a, struct store_appended *done);
void log_ledger_attempt(struct log_ledger *g, int64_t id, int32_t epoch, int32_t sequence);
void log_ledger_producer(const struct log_ledger *g, int64_t id, struct store_producer *to);
size_t log_ledger_producers(const struct log_ledger *g, struct log_producer *to, size_t room);
/* Takes a numbered batch into account. OUT_NO_MEMORY. */
MUST enum outcome log_ledger_note(struct log_ledger *g, const struct log_batch *b);
int64_t log_ledger_first_open(const struct log_ledger *g); /* INT64_MAX: no open transaction */
/* The log begins at `start` now; producers that were silent for too long go. */
void log_ledger_cut(struct log_ledger *g, int64_t start);
void log_ledger_expire(struct log_ledger *g, int64_t now_ms, int64_t expiration_ms);
MUST enum outcome log_ledger_epoch_begin(struct log_ledger *g, int32_t epoch, int64_t end_offset);
void log_ledger_epoch_end(const struct log_ledger *g, int32_t epoch, int64_t log_end,
                          int32_t *found, int64_t *end_offset);
int32_t log_ledger_epoch_at(const struct log_ledger *g, int64_t offset);
int32_t log_ledger_epoch_latest(const struct log_ledger *g);
MUST enum outcome log_ledger_aborted(const struct log_ledger *g, int64_t from, int64_t to,
                                     struct arena *arena, struct log_aborted **list,
                                     size_t *count);

/* ---- files of a log directory ---- */

struct log_meta_properties {
    char cluster_id[64];
    int32_t node_id;
    char directory_id[UUID_TEXT_SIZE];
    int32_t version; /* 1; 0 is ZooKeeper's */
};
/* OUT_NOT_FOUND; OUT_CORRUPT with a sentence that says which line. */
MUST enum outcome logdir_meta_read(const char *dir, struct log_meta_properties *m);
MUST enum outcome logdir_meta_write(const char *dir, const struct log_meta_properties *m);

/* Takes DIR/.lock; OUT_IN_USE when another process (or handle) has it. */
MUST enum outcome logdir_lock(const char *dir, int *lock);
void logdir_unlock(const char *dir, int lock);

/* Blocks until all that was written in the directory's file system is on disk. OUT_IO: some is not,
 * and whose it is nobody knows. */
MUST enum outcome logdir_sync(const char *dir);

/* The clean-shutdown marker. take: reads and deletes it, whether it was there. */
MUST enum outcome logdir_clean_take(const char *dir, enum log_shutdown *was, int64_t *broker_epoch);
MUST enum outcome logdir_clean_write(const char *dir, int64_t broker_epoch);

enum logdir_checkpoint {
    LOGDIR_RECOVERY_POINT,
    LOGDIR_LOG_START,
    LOGDIR_HIGH_WATERMARK,
    LOGDIR_CLEANER,
};
struct logdir_offset {
    char topic[250];
    int32_t partition;
    int64_t offset;
};
/* A missing file is an empty list. `list` is malloc'ed, sorted by (topic, partition).
 * OUT_CORRUPT. */
MUST enum outcome logdir_offsets_read(const char *dir, enum logdir_checkpoint which,
                                      struct logdir_offset **list, size_t *count);
MUST enum outcome logdir_offsets_write(const char *dir, enum logdir_checkpoint which,
                                       const struct logdir_offset *list, size_t count);
/* In a list that logdir_offsets_read gave; `missing` when it is not there. */
int64_t logdir_offset_of(const struct logdir_offset *list, size_t count, const char *topic,
                         int32_t partition, int64_t missing);

struct logdir_partition {
    char topic[250];
    int32_t partition;
    struct uuid topic_id; /* of partition.metadata, zero when it has none */
};
/* The partition directories in `dir`, malloc'ed and sorted. Removes `-delete` directories for
 * good and leaves `-stray` and `-future` ones alone. Others that are no partition are ignored. */
MUST enum outcome logdir_partitions(const char *dir, struct logdir_partition **list, size_t *count);

/* At the start, of all log directories at once: what a crash left of moves. A partition whose names
 * were being changed is where it was when it is nowhere else, copies are removed. `whole`: all
 * directories are there, so what is not found is nowhere. */
#define LOGDIR_MOVED "-moved"
#define LOGDIR_FUTURE "-future"
MUST enum outcome logdir_moves_end(const char *const *dirs, size_t count, bool whole);

/* Writes `text` to DIR/NAME so that after a crash it is there whole or not at all. */
MUST enum outcome logdir_file_write(const char *dir, const char *name, struct bytes text);
/* Reads a small file (below 64 MiB) into malloc'ed, NUL-terminated memory. OUT_NOT_FOUND. */
MUST enum outcome logdir_file_read(const char *dir, const char *name, char **text, size_t *size);

#endif
