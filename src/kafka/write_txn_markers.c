/* SPDX-License-Identifier: MIT */
/*
 * WriteTxnMarkers: the outcome of transactions is written into partitions, one marker after the
 * other. Our own coordinator does it without a request; this is for administrators who end a
 * transaction that nobody knows any more.
 */
#include "kafka/call.h"

#define ASKED struct write_txn_markers_request_markers
#define MARKER struct write_txn_markers_response_markers
#define TOPIC struct write_txn_markers_response_markers_topics
#define RESULT struct write_txn_markers_response_markers_topics_partitions

struct progress {
    int32_t at;
    struct marking marking;
};

static bool fill_topics(struct call *c, const ASKED *asked, MARKER *to, struct txn_place *places)
{
    size_t count = 0;
    to->producer_id = asked->producer_id;
    to->topics = arena_array(c->arena, TOPIC, (size_t)MAX(asked->topics_count, 0));
    for (int32_t i = 0; to->topics != NULL && i < asked->topics_count; i++) {
        TOPIC *t = &to->topics[to->topics_count++];
        int32_t partitions = MAX(asked->topics[i].partition_indexes_count, 0);
        t->name = asked->topics[i].name;
        t->partitions = arena_array(c->arena, RESULT, (size_t)partitions);
        for (int32_t j = 0; t->partitions != NULL && j < partitions; j++) {
            int32_t index = asked->topics[i].partition_indexes[j];
            t->partitions[t->partitions_count++].partition_index = index;
            places[count++] = (struct txn_place){t->name, index};
        }
    }
    return !c->arena->failed;
}

static void marked(struct request *r);

/* Home thread: the next marker is on. False: no memory. */
static bool go_on(struct call *c)
{
    const struct write_txn_markers_request *in = c->in;
    struct write_txn_markers_response *out = c->out;
    struct progress *p = c->state;
    const ASKED *asked = &in->markers[p->at];
    size_t count = 0;
    for (int32_t i = 0; i < asked->topics_count; i++)
        count += (size_t)MAX(asked->topics[i].partition_indexes_count, 0);
    struct txn_place *places = arena_array(c->arena, struct txn_place, count);
    enum outcome *each = arena_array(c->arena, enum outcome, count);
    if (places == NULL || each == NULL)
        return false;
    p->marking = (struct marking){
        .request = c->request, .producer_id = asked->producer_id, .epoch = asked->producer_epoch,
        .coordinator_epoch = asked->coordinator_epoch, .commit = asked->transaction_result,
        .raised = c->version >= 2 && asked->transaction_version >= 2,
        .places = places, .place_count = count, .each = each, .done = marked};
    return fill_topics(c, asked, &out->markers[out->markers_count++], places) &&
           marking_begin(&p->marking);
}

/* Nothing is said of a marker for no partition. */
static void finish(struct call *c)
{
    struct write_txn_markers_response *out = c->out;
    int32_t kept = 0;
    for (int32_t i = 0; i < out->markers_count; i++) {
        if (out->markers[i].topics_count > 0)
            out->markers[kept++] = out->markers[i];
    }
    out->markers_count = kept;
    call_finish(c);
}

static void marked(struct request *r)
{
    struct call *c = call_of(r);
    const struct write_txn_markers_request *in = c->in;
    struct write_txn_markers_response *out = c->out;
    struct progress *p = c->state;
    MARKER *m = &out->markers[p->at];
    size_t at = 0;
    for (int32_t i = 0; i < m->topics_count; i++) {
        for (int32_t j = 0; j < m->topics[i].partitions_count; j++)
            m->topics[i].partitions[j].error_code = error_of(p->marking.each[at++]);
    }
    if (++p->at == in->markers_count)
        finish(c);
    else if (!go_on(c))
        request_complete(r, REQ_CLOSE);
}

enum verdict write_txn_markers_handle(struct call *c)
{
    const struct write_txn_markers_request *in = c->in;
    struct write_txn_markers_response *out = c->out;
    if (in->markers_count <= 0)
        return REQ_DONE;
    c->state = arena_new(c->arena, struct progress);
    out->markers = arena_array(c->arena, MARKER, (size_t)in->markers_count);
    if (c->state == NULL || out->markers == NULL || !go_on(c))
        return REQ_CLOSE;
    return REQ_PARKED;
}
