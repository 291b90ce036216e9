/* SPDX-License-Identifier: MIT */
/*
 * Fetch sessions (KIP-227): a client names its partitions once, then only what changes; replies
 * hold only what changed. Private to kafka/.
 *
 * The cache is one per process, behind one lock that is held for a lookup. A session found is the
 * caller's alone until session_release: its epoch has moved on, so nobody else's request fits. A
 * session is not bound to its connection. When the cache is full, clients are answered without a
 * session, which is always legal.
 */
#ifndef KAFKA_FETCH_SESSION_H
#define KAFKA_FETCH_SESSION_H

#include "base/list.h"
#include "kafka/call.h"

#define SESSION_NONE 0
#define SESSION_EPOCH_INITIAL 0
#define SESSION_EPOCH_FINAL (-1)

/* What is fetched of one partition: from the request, or remembered in the session. */
struct fetch_part {
    struct list node;          /* in its session, in order of service */
    struct fetch_part *next;   /* same hash slot of its session */
    struct bytes topic;        /* null when the request named an id */
    struct uuid topic_id;      /* zero when the request gave a name */
    int32_t partition;
    int64_t fetch_offset;
    int32_t max_bytes;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int64_t known_high_watermark; /* what the client was told last; -1: nothing */
    int64_t known_log_start;
    bool sent;                 /* the last reply had records: the next offset tells how many */
};

struct fetch_session {
    struct list node;          /* in the cache, least recently used first */
    int32_t id, epoch;
    bool busy;                 /* a request has it */
    int64_t used_ms;
    struct list parts;         /* struct fetch_part.node */
    size_t part_count;
    struct fetch_part **slots; /* by topic and partition */
    size_t slot_mask;
};

struct session_cache;

/* Limits: sessions, and partitions in all of them. NULL when out of memory. */
struct session_cache *session_cache_new(size_t sessions_max, size_t parts_max);
void session_cache_free(struct session_cache *cache);

/* A new session, busy, without partitions; NULL when the cache is full of sessions in use. */
struct fetch_session *session_open(struct session_cache *cache, int64_t now_ms);

/* The session of an incremental request, busy and with its epoch moved on; else the Kafka error. */
struct fetch_session *session_find(struct session_cache *cache, int32_t id, int32_t epoch,
                                   int64_t now_ms, int16_t *error);
void session_release(struct session_cache *cache, struct fetch_session *s);
/* Closes a session by id, or one that is busy with the caller. */
void session_close_id(struct session_cache *cache, int32_t id);
void session_close(struct session_cache *cache, struct fetch_session *s);

/* Adds or changes a partition; false when the cache's limit or memory is reached. */
MUST bool session_put(struct session_cache *cache, struct fetch_session *s,
                      const struct fetch_part *part);
void session_forget(struct session_cache *cache, struct fetch_session *s, struct bytes topic,
                    const struct uuid *topic_id, int32_t partition);

/* Puts a partition that returned data behind the others, so that all get their turn. */
static inline void session_rotate(struct fetch_session *s, struct fetch_part *part)
{
    list_remove(&part->node);
    list_push(&s->parts, &part->node);
}

#endif
