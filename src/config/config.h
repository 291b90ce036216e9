/* SPDX-License-Identifier: MIT */
/*
 * Settings: one table of rows (setting.def for the broker, resource.def for topics, groups and
 * client metrics), their values by source, and typed fields for the code.
 *
 * Sources: command line > environment (FLUXMQ_...) > file > default. A `struct config` is immutable
 * once loaded; a dynamic change makes a new one (config_with). Cold code: it allocates and formats.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/outcome.h"

/* Numbers of Kafka's protocol (DescribeConfigs, KIP-569). */
enum config_type {
    CONFIG_BOOLEAN = 1, CONFIG_STRING, CONFIG_INT, CONFIG_SHORT, CONFIG_LONG, CONFIG_DOUBLE,
    CONFIG_LIST, CONFIG_CLASS, CONFIG_PASSWORD,
};
enum config_source {
    CONFIG_FROM_UNKNOWN, CONFIG_FROM_TOPIC, CONFIG_FROM_DYNAMIC_BROKER, CONFIG_FROM_DYNAMIC_DEFAULT,
    CONFIG_FROM_STATIC, CONFIG_FROM_DEFAULT, CONFIG_FROM_LOGGER, CONFIG_FROM_CLIENT_METRICS,
    CONFIG_FROM_GROUP,
};
enum config_mode { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };
enum config_resource {
    CONFIG_UNKNOWN_RESOURCE = 0, CONFIG_TOPIC = 2, CONFIG_BROKER = 4, CONFIG_BROKER_LOGGER = 8,
    CONFIG_CLIENT_METRICS = 16, CONFIG_GROUP = 32,
};

struct config_row {
    const char *name;
    enum config_type type;
    const char *standard;  /* default as text, NULL: null */
    const char *valid;     /* as Kafka prints it, "" anything */
    enum config_mode mode;
    bool sensitive;
    bool described;        /* to those who ask for all; a topic's own: when it is set, too */
    bool internal;
    const char *synonyms;  /* of topics and groups: broker settings giving the default, "a,b*" */
};

/* The rows of a resource type; NULL with count 0 for one that has none. */
const struct config_row *config_rows(enum config_resource r, size_t *count);
const struct config_row *config_row(enum config_resource r, struct bytes name); /* NULL: unknown */

/* What a setting does, one sentence or two. */
const char *config_about(enum config_resource r, const char *name);

/* Whether `value` (null: unset) fits the row; else why, in `message`. */
#define CONFIG_MESSAGE 256
MUST bool config_valid(const struct config_row *row, struct bytes value,
                       char message[static CONFIG_MESSAGE]);
/* A topic's, group's ... setting by name, as meta/ wants it: OUT_OK or OUT_INVALID_CONFIG. */
MUST bool config_check(int8_t resource, struct bytes name, struct bytes value,
                       char message[static CONFIG_MESSAGE]);

struct config_pair {
    struct bytes name, value;
};

enum flush_mode { FLUSH_MODE_GROUP, FLUSH_MODE_NONE };
/* What a subscriber that doesn't keep up gets; in the order of live/'s enum live_overflow. */
enum nats_overflow {
    NATS_OVERFLOW_DISCONNECT, NATS_OVERFLOW_DROP_OLDEST, NATS_OVERFLOW_DROP_NEWEST,
    NATS_OVERFLOW_BLOCK,
};

/* Of nats.subjects: what subjects under a pattern get. */
struct config_subject {
    char pattern[256];
    int8_t overflow;           /* enum nats_overflow, -1: not said */
    int32_t messages;          /* 0: not said */
    int64_t ttl_ms;            /* -1: not said */
};

#define CONFIG_LISTENERS 6
#define CONFIG_LOG_DIRS 32

/* Where clients connect, and what they are told when they came in there. */
struct config_listener {
    char name[64];
    char host[256];            /* "": every address */
    int32_t port;              /* 0: any */
    char advertised_host[256];
    int32_t advertised_port;   /* 0: the port it got */
};

struct config {
    /* network */
    struct config_listener listeners[CONFIG_LISTENERS]; /* of clients; the first is the main one */
    int32_t listener_count;
    int32_t reactors, max_connections, max_connections_per_ip, socket_request_max_bytes;
    int64_t connections_max_idle_ms, receive_memory_max_bytes, busy_poll_ns;
    char metrics_host[256];
    int32_t metrics_port;
    /* identity and storage */
    char data_dir[512];            /* where the metadata is: the first, or metadata.log.dir */
    char log_dirs[CONFIG_LOG_DIRS][512]; /* where partitions are */
    int32_t log_dir_count;
    int64_t allocate_ahead_bytes;
    int32_t node_id;
    char cluster_id[64];
    enum flush_mode flush_mode;
    int64_t memory_retention_bytes; /* of a partition in memory whose topic says -1 */
    bool validation_full;
    /* the NATS door */
    int32_t nats_port, nats_max_payload, nats_max_control_line, nats_max_connections;
    int32_t nats_max_subscriptions, nats_ping_max, nats_overflow_messages;
    int64_t nats_max_pending, nats_ping_interval_ms, nats_write_deadline_ms, nats_auth_timeout_ms;
    int64_t nats_lame_duck_ms;
    enum nats_overflow nats_overflow;
    struct config_subject *subjects;
    size_t subject_count;
    char nats_users_file[512], nats_server_name[64];
    /* topics */
    int32_t num_partitions, default_replication_factor, max_request_partition_size_limit;
    bool auto_create_topics_enable, delete_topic_enable;
    int32_t fetch_max_bytes, max_incremental_fetch_session_cache_slots;
    int64_t log_retention_check_interval_ms, log_segment_delete_delay_ms;
    int64_t checkpoint_interval_ms; /* of recovery points and log starts, the shorter */
    int64_t producer_id_expiration_ms;
    /* compaction */
    bool cleaner_enable;
    int32_t cleaner_threads;
    int32_t recovery_threads; /* for each log directory */
    int64_t cleaner_backoff_ms, cleaner_key_bytes;
    double cleaner_key_load, cleaner_bytes_per_second;
    /* groups */
    int32_t group_min_session_timeout_ms, group_max_session_timeout_ms, group_max_size;
    int32_t group_initial_rebalance_delay_ms;
    int32_t offset_metadata_max_bytes, offsets_topic_num_partitions, offsets_topic_segment_bytes;
    int64_t offsets_retention_minutes, offsets_retention_check_interval_ms;
    /* transactions */
    int32_t transaction_max_timeout_ms, transaction_topic_num_partitions;
    int32_t transaction_topic_segment_bytes;
    int64_t transactional_id_expiration_ms, transaction_expiry_interval_ms;
    bool transaction_verification;
    int32_t log_level;
    bool recovery_report;
    bool file_given;
    char path[512];                /* of the file, "": none */
    char warning[1280];            /* of the file, for the log; "": none */
    char *text[512];               /* value by row, NULL: not set */
    uint8_t source[512];           /* enum config_source */
};

/* Effective settings of one topic. */
struct topic_config {
    int64_t retention_ms, retention_bytes, segment_bytes, segment_ms, segment_jitter_ms;
    int64_t max_message_bytes, index_interval_bytes, segment_index_bytes;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms, file_delete_delay_ms;
    int64_t min_insync_replicas, delete_retention_ms, flush_messages, flush_ms;
    int64_t min_compaction_lag_ms, max_compaction_lag_ms;
    int64_t gzip_level, lz4_level, zstd_level;
    double min_cleanable_ratio;
    int64_t retention_records, message_ttl_ms;
    int64_t live_backlog; /* 0: as nats.overflow.messages */
    int8_t live_overflow; /* enum nats_overflow, -1: not said */
    bool append_time, cleanup_delete, cleanup_compact, preallocate;
    bool memory; /* storage.class */
    bool live_metadata;
    char compression_type[16];
};

/* ---- loading ---- */

enum config_action { CONFIG_RUN, CONFIG_EXIT };

/* Command line and environment to a config (malloc'ed, config_free). CONFIG_EXIT: --help or -V was
 * answered on stdout. A failure's trail is the sentence for the user. */
MUST enum outcome config_load(int argc, char **argv, char **environment, struct config **config,
                              enum config_action *action);
void config_free(struct config *c);
/* check-config: reads FILE alone. */
MUST enum outcome config_read_file(const char *path, struct config **config);

/* A copy with dynamic broker values on top (pairs of the cluster default, then of this broker). */
struct config *config_with(const struct config *base, const struct config_pair *defaults,
                           size_t default_count, const struct config_pair *own, size_t own_count);

/* The file read again, over all but what it said before. The whole file is good, or the trail says
 * what is not, with file and line. What needs a restart keeps its value. Names, comma-separated. */
struct config_changes {
    char applied[1024], restart[1024];
};
MUST enum outcome config_reload(const struct config *base, struct config **config,
                                struct config_changes *changes);

/* ---- asking ---- */

/* The text of a broker setting (NULL: null) and where it comes from. */
const char *config_text(const struct config *c, const char *name, enum config_source *source);
/* The default a topic gets for a row from the broker: its text in `buffer` (NULL: null), and the
 * broker setting that gave it. */
#define CONFIG_TEXT 128
const char *config_topic_default(const struct config *c, const struct config_row *row,
                                 char buffer[static CONFIG_TEXT], const char **synonym,
                                 enum config_source *source);
void topic_config_make(const struct config *c, const struct config_pair *overrides, size_t count,
                       struct topic_config *out);

/* The next word of a comma-separated list, without blanks around it; false at the end. */
bool config_list_next(struct bytes *rest, struct bytes *word);

/* A policy by its name in settings. */
MUST bool config_overflow(struct bytes text, enum nats_overflow *overflow);

/* The nearest known name of a broker setting, for "did you mean". */
const char *config_nearest(const char *name);

#endif
