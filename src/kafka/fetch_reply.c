/* SPDX-License-Identifier: MIT */
/*
 * The Fetch response: results grouped by topic; in a session only what has news. Views of record
 * bytes move to the call, which sends them as file ranges and releases them.
 */
#include "kafka/consumed.h"
#include "kafka/fetch.h"

#include "watch/watch.h"

#define TOPIC struct fetch_response_responses
#define PART struct fetch_response_responses_partitions

/* KIP-227: data, an error, a diverging epoch, or offsets the client does not know yet. */
static bool has_news(const struct fetch_state *s, const struct fetch_result *r)
{
    if (!s->incremental)
        return true;
    return r->slice.view.size > 0 || r->error != KAFKA_NONE || r->diverging_epoch >= 0 ||
           r->part->known_high_watermark != r->high_watermark ||
           r->part->known_log_start != r->log_start;
}

static void fill_aborted(struct call *c, PART *out, const struct fetch_result *r)
{
    out->aborted_transactions_count = -1;
    out->aborted_transactions = NULL;
    if (!r->aborted_listed)
        return;
    out->aborted_transactions_count = 0;
    out->aborted_transactions =
        arena_array(c->arena, struct fetch_response_responses_partitions_aborted_transactions,
                    r->aborted_count);
    if (out->aborted_transactions == NULL)
        return;
    out->aborted_transactions_count = (int32_t)r->aborted_count;
    for (size_t i = 0; i < r->aborted_count; i++) {
        out->aborted_transactions[i].producer_id = r->aborted[i].producer_id;
        out->aborted_transactions[i].first_offset = r->aborted[i].first_offset;
    }
}

static void fill_part(struct call *c, PART *out, struct fetch_result *r)
{
    bool error = r->error != KAFKA_NONE;
    *out = (PART){
        .partition_index = r->part->partition,
        .error_code = r->error,
        .high_watermark = error ? -1 : r->high_watermark,
        .last_stable_offset = error ? -1 : r->stable_offset,
        .log_start_offset = error ? -1 : r->log_start,
        .preferred_read_replica = -1,
        .diverging_epoch = {.epoch = r->diverging_epoch, .end_offset = r->diverging_end},
        .current_leader = {.leader_id = -1, .leader_epoch = -1},
        .snapshot_id = {.end_offset = -1, .epoch = -1},
        .records = {.at = (const uint8_t *)"", .size = 0},
    };
    if (r->error == KAFKA_NOT_LEADER_OR_FOLLOWER && c->version >= 12) {
        out->current_leader.leader_id = broker_node_id(c->broker);
        out->current_leader.leader_epoch = r->leader_epoch;
    }
    fill_aborted(c, out, r);
    if (error && !r->log_error)
        out->aborted_transactions_count = 0; /* Kafka's default where the log was not reached */
    if (error || r->slice.view.size == 0)
        return;
    out->records.external = &r->slice;
    out->records.size = r->slice.view.size;
    r->slice.next = c->slices;
    c->slices = &r->slice;
    count(bytes_consumed, r->slice.view.size);
}

static bool same_topic(const struct fetch_result *a, const struct fetch_result *b)
{
    return bytes_equal(a->part->topic, b->part->topic) &&
           uuid_equal(&a->part->topic_id, &b->part->topic_id);
}

/* Remembers what the client is told, and sends those with data to the end of the queue. */
static void remember(struct call *c, struct fetch_state *s, struct fetch_result *r)
{
    if (s->session == NULL) {
        if (r->error == KAFKA_NONE && r->slice.view.size > 0)
            consumed_note(c, r->part);
        return;
    }
    r->part->known_high_watermark = r->error == KAFKA_NONE ? r->high_watermark : -1;
    r->part->known_log_start = r->error == KAFKA_NONE ? r->log_start : -1;
    r->part->sent = r->error == KAFKA_NONE && r->slice.view.size > 0;
    if (r->part->sent)
        session_rotate(s->session, r->part);
}

/* Results without news keep nothing open. */
static void release_rest(struct fetch_state *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct fetch_result *r = &s->results[i];
        bool sent = r->error == KAFKA_NONE && r->slice.view.size > 0;
        if (!sent && r->slice.view.hold != NULL) {
            store_hold_drop(r->slice.view.hold);
            r->slice.view = (struct store_view){.fd = -1};
        }
    }
}

/* Topics whose id is unknown come before the others in incremental replies, else behind (Kafka's
 * order). */
static void add_results(struct call *c, struct fetch_state *s, PART **parts, bool unknown_ids)
{
    struct fetch_response *out = c->out;
    const struct fetch_result *before = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct fetch_result *r = &s->results[i];
        if (!has_news(s, r) || (r->error == KAFKA_UNKNOWN_TOPIC_ID) != unknown_ids)
            continue;
        if (before == NULL || !same_topic(before, r)) {
            TOPIC *t = &out->responses[out->responses_count++];
            /* Older versions name the topic, newer ones its id; the other is not on the wire. */
            *t = (TOPIC){.topic = r->part->topic, .topic_id = r->part->topic_id,
                         .partitions = *parts};
            if (t->topic.at == NULL)
                t->topic = bytes_of("");
        }
        fill_part(c, (*parts)++, r);
        out->responses[out->responses_count - 1].partitions_count++;
        before = r;
        remember(c, s, r);
    }
}

void fetch_reply(struct call *c, struct fetch_state *s)
{
    struct fetch_response *out = c->out;
    TOPIC *topics = arena_array(c->arena, TOPIC, s->count);
    PART *parts = arena_array(c->arena, PART, s->count);
    release_rest(s);
    out->session_id = s->session == NULL ? SESSION_NONE : s->session->id;
    if (topics == NULL || parts == NULL) {
        for (size_t i = 0; i < s->count; i++)
            store_hold_drop(s->results[i].slice.view.hold);
        return;
    }
    out->responses = topics;
    add_results(c, s, &parts, s->incremental);
    add_results(c, s, &parts, !s->incremental);
}
