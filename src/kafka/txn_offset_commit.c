/* SPDX-License-Identifier: MIT */
/*
 * TxnOffsetCommit: offsets of a group that count when their transaction commits. The partition of
 * __consumer_offsets has to be part of the transaction; from version 5 on it becomes so here.
 */
#include "kafka/groups.h"
#include "kafka/txns.h"

#define RESULT struct txn_offset_commit_response_topics_partitions
#define ADDS_SINCE 5
#define ABORTABLE_SINCE 4

struct commit {
    struct txn_entry entry;
    struct txn_place place;
    int16_t error;
    RESULT **results;         /* in the order of the event's offsets */
    struct group_offset *offsets;
    size_t count;
    uint32_t guard;
};

static void set_all(const struct commit *m, int16_t error)
{
    for (size_t i = 0; i < m->count; i++)
        m->results[i]->error_code = error;
}

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    const struct commit *m = group_call(w)->state;
    (void)index;
    for (size_t i = 0; i < m->count; i++)
        m->results[i]->error_code = error_of(r->outcome != OUT_OK ? r->outcome : r->each[i]);
}

/* Home thread: the partition is part of the transaction. */
static enum verdict commit(struct call *c)
{
    const struct txn_offset_commit_request *in = c->in;
    const struct commit *m = c->state;
    struct coordinator_work *w = group_work(c, 1, answer);
    if (w == NULL)
        return REQ_CLOSE;
    w->events[0] = (struct group_event){
        .kind = GROUP_TXN_COMMIT,
        .group_id = in->group_id,
        .commit = {.member_id = in->member_id,
                   .instance_id = in->group_instance_id,
                   .generation = in->generation_id,
                   .if_unknown = OUT_ILLEGAL_GENERATION,
                   .producer_id = in->producer_id,
                   .producer_epoch = in->producer_epoch,
                   .guard = m->guard,
                   .offsets = m->offsets,
                   .offset_count = m->count},
    };
    return coordinator_submit(w);
}

static void entered(struct request *r)
{
    struct call *c = call_of(r);
    const struct commit *m = c->state;
    enum verdict v = REQ_DONE;
    if (m->error == KAFKA_NONE)
        v = commit(c);
    else
        set_all(m, m->error);
    if (v == REQ_DONE)
        call_finish(c);
    else if (v == REQ_CLOSE)
        request_complete(r, REQ_CLOSE);
}

static bool sort_topic(struct call *c, const struct txn_offset_commit_request_topics *asked,
                       struct commit *m)
{
    struct txn_offset_commit_response *out = c->out;
    struct txn_offset_commit_response_topics *to = &out->topics[out->topics_count++];
    const struct topic *t = view_topic(broker_view(), asked->name);
    to->name = asked->name;
    to->partitions = arena_array(c->arena, RESULT, (size_t)MAX(asked->partitions_count, 0));
    if (to->partitions == NULL)
        return false;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        const struct txn_offset_commit_request_topics_partitions *p = &asked->partitions[i];
        RESULT *result = &to->partitions[to->partitions_count++];
        *result = (RESULT){.partition_index = p->partition_index};
        if (t == NULL || p->partition_index < 0 || p->partition_index >= t->partition_count) {
            result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        m->results[m->count] = result;
        m->offsets[m->count++] = (struct group_offset){
            .topic = asked->name, .partition = p->partition_index, .offset = p->committed_offset,
            .leader_epoch = p->committed_leader_epoch, .metadata = p->committed_metadata,
            .topic_id = t->id};
    }
    return true;
}

static bool sort(struct call *c, struct commit *m)
{
    const struct txn_offset_commit_request *in = c->in;
    struct txn_offset_commit_response *out = c->out;
    size_t most = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        most += (size_t)MAX(in->topics[i].partitions_count, 0);
    m->results = arena_array(c->arena, RESULT *, most);
    m->offsets = arena_array(c->arena, struct group_offset, most);
    out->topics = arena_array(c->arena, struct txn_offset_commit_response_topics,
                              (size_t)MAX(in->topics_count, 0));
    if (m->results == NULL || m->offsets == NULL || out->topics == NULL)
        return false;
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!sort_topic(c, &in->topics[i], m))
            return false;
    }
    return true;
}

enum verdict txn_offset_commit_handle(struct call *c)
{
    const struct txn_offset_commit_request *in = c->in;
    struct commit *m = arena_new(c->arena, struct commit);
    struct store_producer now;
    if (m == NULL || !sort(c, m))
        return REQ_CLOSE;
    c->state = m;
    if (m->count == 0)
        return REQ_DONE;
    struct partition *p = coordinator_group_partition(in->group_id);
    if (p == NULL || in->group_id.size == 0) {
        bool there = in->group_id.size == 0 || coordinator_ready(c->broker);
        set_all(m, in->group_id.size == 0 ? KAFKA_INVALID_GROUP_ID
                   : there                ? KAFKA_NOT_COORDINATOR
                                          : KAFKA_COORDINATOR_NOT_AVAILABLE);
        return REQ_DONE;
    }
    store_producer(p->store, in->producer_id, &now);
    bool adds = c->version >= ADDS_SINCE;
    m->guard = adds ? 0 : now.guard; /* with a new epoch at each end nothing can come late */
    if ((now.open && now.epoch == in->producer_epoch) ||
        (!adds && !c->config->transaction_verification))
        return commit(c);
    m->place = (struct txn_place){bytes_of(OFFSETS_TOPIC), p->index};
    m->entry = (struct txn_entry){
        .id = in->transactional_id, .producer_id = in->producer_id, .epoch = in->producer_epoch,
        .places = &m->place, .place_count = 1, .add = adds,
        .abortable = c->version >= ABORTABLE_SINCE, .errors = &m->error, .then = entered};
    enum verdict v = txn_enter(c, &m->entry);
    if (v == REQ_DONE)
        set_all(m, m->error);
    return v;
}
