/* SPDX-License-Identifier: MIT */
/*
 * The session cache. A full cache gives up its least recently used session when that one has been
 * idle for two minutes (Kafka's rule); otherwise the newcomer goes without.
 */
#include "kafka/fetch_session.h"

#include "watch/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define EVICT_MS 120000

struct session_cache {
    pthread_mutex_t lock;
    struct list sessions; /* struct fetch_session.node, least recently used first */
    size_t count, max;
    size_t parts, parts_max;
};

struct session_cache *session_cache_new(size_t sessions_max, size_t parts_max)
{
    struct session_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    list_init(&cache->sessions);
    cache->max = sessions_max;
    cache->parts_max = parts_max;
    return cache;
}

static void free_parts(struct fetch_session *s)
{
    for (struct list *n; (n = list_pop(&s->parts)) != NULL;)
        free(container_of(n, struct fetch_part, node));
    free(s->slots);
}

/* Lock held. */
static void drop(struct session_cache *cache, struct fetch_session *s)
{
    list_remove(&s->node);
    cache->count--;
    cache->parts -= s->part_count;
    free_parts(s);
    free(s);
}

void session_cache_free(struct session_cache *cache)
{
    if (cache == NULL)
        return;
    while (!list_empty(&cache->sessions))
        drop(cache, container_of(cache->sessions.next, struct fetch_session, node));
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct fetch_session *find(struct session_cache *cache, int32_t id)
{
    list_each(n, &cache->sessions) {
        struct fetch_session *s = container_of(n, struct fetch_session, node);
        if (s->id == id)
            return s;
    }
    return NULL;
}

/* Lock held: room for one more, perhaps by closing one that nobody uses. */
static bool make_room(struct session_cache *cache, int64_t now_ms)
{
    if (cache->count < cache->max)
        return true;
    if (list_empty(&cache->sessions))
        return false;
    struct fetch_session *oldest = container_of(cache->sessions.next, struct fetch_session, node);
    if (oldest->busy || now_ms - oldest->used_ms < EVICT_MS)
        return false;
    drop(cache, oldest);
    return true;
}

struct fetch_session *session_open(struct session_cache *cache, int64_t now_ms)
{
    struct fetch_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    list_init(&s->parts);
    list_init(&s->node);
    s->epoch = 1;
    s->busy = true;
    s->used_ms = now_ms;
    pthread_mutex_lock(&cache->lock);
    if (!make_room(cache, now_ms)) {
        pthread_mutex_unlock(&cache->lock);
        free(s);
        return NULL;
    }
    do {
        uint32_t random = 0;
        check(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
        s->id = (int32_t)(random & INT32_MAX);
    } while (s->id == SESSION_NONE || find(cache, s->id) != NULL);
    list_push(&cache->sessions, &s->node);
    cache->count++;
    pthread_mutex_unlock(&cache->lock);
    return s;
}

struct fetch_session *session_find(struct session_cache *cache, int32_t id, int32_t epoch,
                                   int64_t now_ms, int16_t *error)
{
    pthread_mutex_lock(&cache->lock);
    struct fetch_session *s = find(cache, id);
    *error = KAFKA_NONE;
    if (s == NULL) {
        *error = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    } else if (s->busy || s->epoch != epoch) {
        *error = KAFKA_INVALID_FETCH_SESSION_EPOCH;
        s = NULL;
    } else {
        s->busy = true;
        s->used_ms = now_ms;
        s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
        list_remove(&s->node);
        list_push(&cache->sessions, &s->node);
    }
    pthread_mutex_unlock(&cache->lock);
    return s;
}

void session_release(struct session_cache *cache, struct fetch_session *s)
{
    pthread_mutex_lock(&cache->lock);
    s->busy = false;
    pthread_mutex_unlock(&cache->lock);
}

void session_close_id(struct session_cache *cache, int32_t id)
{
    pthread_mutex_lock(&cache->lock);
    struct fetch_session *s = find(cache, id);
    if (s != NULL && !s->busy)
        drop(cache, s);
    pthread_mutex_unlock(&cache->lock);
}

void session_close(struct session_cache *cache, struct fetch_session *s)
{
    pthread_mutex_lock(&cache->lock);
    drop(cache, s);
    pthread_mutex_unlock(&cache->lock);
}

/* ---- partitions of one session: the caller has it alone ---- */

static uint64_t hash_of(struct bytes topic, const struct uuid *id, int32_t partition)
{
    uint64_t h = topic.at != NULL ? bytes_hash(topic) : bytes_hash(bytes_view(id, sizeof *id));
    return (h ^ (uint64_t)(uint32_t)partition) * 0x9e3779b97f4a7c15u >> 17;
}

static bool same(const struct fetch_part *p, struct bytes topic, const struct uuid *id,
                 int32_t partition)
{
    return p->partition == partition && bytes_equal(p->topic, topic) &&
           uuid_equal(&p->topic_id, id);
}

static bool grow(struct fetch_session *s)
{
    size_t room = s->slots == NULL ? 8 : (s->slot_mask + 1) * 2;
    struct fetch_part **slots = calloc(room, sizeof(struct fetch_part *));
    if (slots == NULL)
        return false;
    free(s->slots);
    s->slots = slots;
    s->slot_mask = room - 1;
    list_each(n, &s->parts) {
        struct fetch_part *p = container_of(n, struct fetch_part, node);
        size_t slot = hash_of(p->topic, &p->topic_id, p->partition) & s->slot_mask;
        p->next = slots[slot];
        slots[slot] = p;
    }
    return true;
}

static struct fetch_part *part_new(const struct fetch_part *like)
{
    struct fetch_part *p = malloc(sizeof *p + like->topic.size);
    if (p == NULL)
        return NULL;
    *p = *like;
    if (like->topic.at != NULL) {
        memcpy(p + 1, like->topic.at, like->topic.size);
        p->topic.at = (const uint8_t *)(p + 1);
    }
    p->known_high_watermark = -1;
    p->known_log_start = -1;
    return p;
}

static bool reserve(struct session_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    bool room = cache->parts < cache->parts_max;
    if (room)
        cache->parts++;
    pthread_mutex_unlock(&cache->lock);
    return room;
}

static void unreserve(struct session_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    cache->parts--;
    pthread_mutex_unlock(&cache->lock);
}

bool session_put(struct session_cache *cache, struct fetch_session *s,
                 const struct fetch_part *part)
{
    uint64_t hash = hash_of(part->topic, &part->topic_id, part->partition);
    if (s->slots != NULL) {
        for (struct fetch_part *p = s->slots[hash & s->slot_mask]; p != NULL; p = p->next) {
            if (!same(p, part->topic, &part->topic_id, part->partition))
                continue;
            if (p->sent && part->fetch_offset > p->fetch_offset)
                count(messages_consumed, (uint64_t)(part->fetch_offset - p->fetch_offset));
            p->sent = false;
            p->fetch_offset = part->fetch_offset;
            p->max_bytes = part->max_bytes;
            p->current_leader_epoch = part->current_leader_epoch;
            p->last_fetched_epoch = part->last_fetched_epoch;
            return true;
        }
    }
    if ((s->slots == NULL || s->part_count > s->slot_mask) && !grow(s))
        return false;
    if (!reserve(cache))
        return false;
    struct fetch_part *p = part_new(part);
    if (p == NULL) {
        unreserve(cache);
        return false;
    }
    p->next = s->slots[hash & s->slot_mask];
    s->slots[hash & s->slot_mask] = p;
    list_push(&s->parts, &p->node);
    s->part_count++;
    return true;
}

void session_forget(struct session_cache *cache, struct fetch_session *s, struct bytes topic,
                    const struct uuid *topic_id, int32_t partition)
{
    if (s->slots == NULL)
        return;
    size_t slot = hash_of(topic, topic_id, partition) & s->slot_mask;
    for (struct fetch_part **at = &s->slots[slot]; *at != NULL; at = &(*at)->next) {
        struct fetch_part *p = *at;
        if (!same(p, topic, topic_id, partition))
            continue;
        *at = p->next;
        list_remove(&p->node);
        free(p);
        s->part_count--;
        unreserve(cache);
        return;
    }
}
