/* SPDX-License-Identifier: MIT */
/* Fetch sessions: the rules one by one, then random operations beside a plain model. */
#include "kafka/fetch_session.h"

#include "tap.h"

static struct session_cache *cache;

static void begin(size_t sessions, size_t parts)
{
    cache = session_cache_new(sessions, parts);
    expect(cache != NULL);
}

static int16_t find_error(int32_t id, int32_t epoch, int64_t now)
{
    int16_t error;
    struct fetch_session *s = session_find(cache, id, epoch, now, &error);
    expect((s == NULL) == (error != KAFKA_NONE));
    if (s != NULL)
        session_release(cache, s);
    return error;
}

static struct fetch_part part_of(const char *topic, int32_t partition, int64_t offset)
{
    return (struct fetch_part){.topic = bytes_of(topic), .partition = partition,
                               .fetch_offset = offset, .max_bytes = 1000,
                               .current_leader_epoch = -1, .last_fetched_epoch = -1};
}

void test_epochs_move_on_with_each_request(void)
{
    begin(10, 10);
    struct fetch_session *s = session_open(cache, 0);
    int32_t id = s->id;
    expect(id > 0);
    expect_eq(s->epoch, 1);
    expect_eq(find_error(id, 1, 0), KAFKA_INVALID_FETCH_SESSION_EPOCH); /* still with its opener */
    session_release(cache, s);
    expect_eq(find_error(id, 2, 1), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    expect_eq(find_error(id, 1, 2), KAFKA_NONE);
    expect_eq(find_error(id, 1, 3), KAFKA_INVALID_FETCH_SESSION_EPOCH); /* a repeated request */
    expect_eq(find_error(id, 2, 4), KAFKA_NONE);
    expect_eq(find_error(id ^ 1, 3, 5), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    session_close_id(cache, id);
    expect_eq(find_error(id, 3, 6), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    session_cache_free(cache);
}

void test_the_epoch_wraps_to_one(void)
{
    begin(10, 10);
    struct fetch_session *s = session_open(cache, 0);
    s->epoch = INT32_MAX;
    session_release(cache, s);
    expect_eq(find_error(s->id, INT32_MAX, 0), KAFKA_NONE);
    expect_eq(s->epoch, 1); /* 0 and -1 mean something else */
    session_cache_free(cache);
}

void test_a_full_cache_gives_up_what_was_idle_for_two_minutes(void)
{
    begin(2, 10);
    struct fetch_session *a = session_open(cache, 0), *b = session_open(cache, 1000);
    int32_t a_id = a->id, b_id = b->id;
    session_release(cache, a);
    session_release(cache, b);
    expect(session_open(cache, 119999) == NULL);
    expect_eq(find_error(a_id, 1, 100000), KAFKA_NONE); /* now b is the one used least recently */
    expect(session_open(cache, 120999) == NULL);
    struct fetch_session *c = session_open(cache, 121000);
    expect(c != NULL);
    expect_eq(find_error(b_id, 1, 121000), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    expect_eq(find_error(a_id, 2, 121000), KAFKA_NONE);
    session_cache_free(cache);
}

void test_a_session_in_use_is_not_given_up_nor_closed(void)
{
    begin(1, 10);
    struct fetch_session *a = session_open(cache, 0);
    expect(session_open(cache, 10000000) == NULL);
    session_close_id(cache, a->id);
    session_release(cache, a);
    expect_eq(find_error(a->id, 1, 10000000), KAFKA_NONE);
    session_cache_free(cache);
    begin(0, 0);
    expect(session_open(cache, 0) == NULL); /* sessions are switched off */
    session_cache_free(cache);
}

void test_partitions_keep_their_order_and_their_names(void)
{
    begin(2, 100);
    struct fetch_session *s = session_open(cache, 0);
    char name[16] = "orders";
    struct fetch_part p = part_of(name, 0, 5);
    expect(session_put(cache, s, &p));
    memset(name, 'x', 6); /* the request's bytes are gone, the session has its own */
    p = part_of("other", 1, 6);
    expect(session_put(cache, s, &p));
    struct fetch_part *first = container_of(s->parts.next, struct fetch_part, node);
    expect(bytes_is(first->topic, "orders"));
    expect_eq(first->known_high_watermark, -1);
    first->known_high_watermark = 77;
    p = part_of("orders", 0, 9);
    expect(session_put(cache, s, &p)); /* a change: same place, what was told stays */
    expect_eq(s->part_count, 2);
    expect_eq(first->fetch_offset, 9);
    expect_eq(first->known_high_watermark, 77);
    session_rotate(s, first);
    expect(container_of(s->parts.next, struct fetch_part, node) != first);
    session_cache_free(cache);
}

void test_ids_and_names_are_different_partitions(void)
{
    begin(2, 100);
    struct fetch_session *s = session_open(cache, 0);
    struct fetch_part by_id = {.topic_id = {.b = {1}}, .partition = 0};
    struct fetch_part other = {.topic_id = {.b = {2}}, .partition = 0};
    struct fetch_part by_name = part_of("t", 0, 0);
    expect(session_put(cache, s, &by_id) && session_put(cache, s, &other));
    expect(session_put(cache, s, &by_name) && session_put(cache, s, &by_id));
    expect_eq(s->part_count, 3);
    session_forget(cache, s, (struct bytes){0}, &by_id.topic_id, 0);
    session_forget(cache, s, (struct bytes){0}, &by_id.topic_id, 0);
    expect_eq(s->part_count, 2);
    session_cache_free(cache);
}

void test_the_limit_of_partitions_is_over_all_sessions(void)
{
    begin(3, 5);
    struct fetch_session *a = session_open(cache, 0), *b = session_open(cache, 0);
    for (int32_t i = 0; i < 3; i++) {
        struct fetch_part p = part_of("t", i, 0);
        expect(session_put(cache, a, &p));
        expect_eq(session_put(cache, b, &p), i < 2);
    }
    struct fetch_part p = part_of("t", 0, 8);
    expect(session_put(cache, b, &p)); /* one that is known takes no room */
    session_close(cache, a);
    p = part_of("t", 9, 0);
    expect(session_put(cache, b, &p)); /* a closed session gives its room back */
    session_forget(cache, b, bytes_of("t"), &(struct uuid){0}, 9);
    for (int32_t i = 20; i < 23; i++) {
        p = part_of("t", i, 0);
        expect(session_put(cache, b, &p));
    }
    expect(!session_put(cache, b, &(struct fetch_part){.topic = bytes_of("u")}));
    session_cache_free(cache);
}

/* ---- against a model ---- */

enum { SESSIONS = 6, PARTITIONS = 40, STEPS = 60000, PARTS_MAX = 120 };

struct model {
    bool open;
    int32_t id, epoch;
    int64_t used_ms;
    int64_t offsets[PARTITIONS]; /* -1: not there */
};

static struct model models[SESSIONS];
static uint64_t state = 0x1234567887654321u;

static unsigned dice(unsigned sides)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % sides;
}

static size_t model_parts(void)
{
    size_t sum = 0;
    for (int i = 0; i < SESSIONS; i++) {
        for (int p = 0; models[i].open && p < PARTITIONS; p++)
            sum += models[i].offsets[p] >= 0;
    }
    return sum;
}

static const char *topic_of(int p)
{
    static const char *const names[] = {"a", "b", "a-long-name-of-a-topic", ""};
    return names[p % 4];
}

/* The session's partitions are the model's, each once. */
static void compare(const struct fetch_session *s, const struct model *m)
{
    size_t count = 0;
    list_each(n, &s->parts) {
        const struct fetch_part *f = container_of(n, struct fetch_part, node);
        expect(f->partition >= 0 && f->partition < PARTITIONS);
        expect(bytes_is(f->topic, topic_of(f->partition)));
        expect_eq(f->fetch_offset, m->offsets[f->partition]);
        count++;
    }
    expect_eq(count, s->part_count);
    for (int p = 0; p < PARTITIONS; p++)
        count -= m->offsets[p] >= 0;
    expect_eq(count, 0);
}

/* Some partitions added, changed, forgotten, as an incremental request does. */
static void change(struct fetch_session *s, struct model *m)
{
    for (unsigned i = dice(12); i > 0; i--) {
        int p = (int)dice(PARTITIONS);
        if (dice(3) == 0) {
            session_forget(cache, s, bytes_of(topic_of(p)), &(struct uuid){0}, p);
            m->offsets[p] = -1;
            continue;
        }
        struct fetch_part part = part_of(topic_of(p), p, (int64_t)dice(1000));
        bool room = m->offsets[p] >= 0 || model_parts() < PARTS_MAX;
        expect_eq(session_put(cache, s, &part), room);
        if (room)
            m->offsets[p] = part.fetch_offset;
        if (dice(2) == 0 && !list_empty(&s->parts))
            session_rotate(s, container_of(s->parts.next, struct fetch_part, node));
    }
    compare(s, m);
}

static void step_open(int64_t now)
{
    struct model *slot = NULL, *oldest = NULL;
    for (int i = 0; i < SESSIONS; i++) {
        if (!models[i].open)
            slot = &models[i];
        else if (oldest == NULL || models[i].used_ms < oldest->used_ms)
            oldest = &models[i];
    }
    struct fetch_session *s = session_open(cache, now);
    if (slot == NULL && now - oldest->used_ms >= 120000)
        slot = oldest;
    expect_eq(s != NULL, slot != NULL);
    if (s == NULL)
        return;
    *slot = (struct model){.open = true, .id = s->id, .epoch = 1, .used_ms = now};
    memset(slot->offsets, 0xff, sizeof slot->offsets);
    change(s, slot);
    session_release(cache, s);
}

static void step_use(struct model *m, int64_t now)
{
    int16_t error;
    int32_t epoch = dice(5) == 0 ? m->epoch + 1 : m->epoch;
    struct fetch_session *s = session_find(cache, m->id, epoch, now, &error);
    int16_t wrong = epoch == m->epoch ? KAFKA_NONE : KAFKA_INVALID_FETCH_SESSION_EPOCH;
    expect_eq(error, m->open ? wrong : KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    if (s == NULL)
        return;
    m->epoch++;
    m->used_ms = now;
    compare(s, m);
    change(s, m);
    session_release(cache, s);
}

void test_random_operations_beside_a_model(void)
{
    begin(SESSIONS, PARTS_MAX);
    int64_t now = 1;
    for (int i = 0; i < STEPS; i++) {
        struct model *m = &models[dice(SESSIONS)];
        now += 1 + dice(60000);
        switch (dice(8)) {
        case 0: step_open(now); break;
        case 1:
            if (dice(4) == 0) {
                session_close_id(cache, m->id);
                m->open = false;
            }
            break;
        default: step_use(m, now); break;
        }
    }
    session_cache_free(cache);
}
