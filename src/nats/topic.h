/* SPDX-License-Identifier: MIT */
/*
 * Topics behind subjects. A subject that is a topic's name, or falls under one of the patterns of a
 * topic's live.subjects, belongs to that topic: what is published there goes into its log, and from
 * the log to whoever subscribes, whichever door it came in by.
 *
 * A subject maps to one partition, unless a key (header Kafka-Key) says which, as Kafka's own
 * clients would choose. What a reactor receives in a turn for a partition becomes one batch.
 * A publication with a reply subject is answered when it is safe (as acks=all): the JSON that
 * JetStream's publish acknowledgement is, or an error in its form.
 */
#ifndef NATS_TOPIC_H
#define NATS_TOPIC_H

#include "broker/broker.h"
#include "nats/private.h"
#include "nats/record.h"

/* What a topic says about subjects; a view of the topic's configuration. */
struct nats_topic {
    struct topic *topic;
    struct bytes patterns[16];
    size_t pattern_count;
};
/* The topic that a subject belongs to; false: none. Reactor's thread, good for the turn. */
bool nats_topic_of(struct bytes subject, struct nats_topic *t);
/* The patterns of a topic. */
void nats_topic_patterns(const struct topic *topic, struct nats_topic *t);

/* The partition for a record with that subject and key (at NULL: none). */
int32_t nats_partition_of(struct bytes subject, struct bytes key, int32_t count);

/* Stores a record of another topic, with more headers; `done` runs at home when the disk has it (as
 * acks=all), or never will. False: it can't be now, since there is no such topic (it is asked
 * for) or no memory. */
MUST bool nats_topic_store(struct nats_shard *h, struct bytes topic, const struct log_record *r,
                           const struct log_header *more, size_t count,
                           void (*done)(void *context, bool safe), void *context);

/* What nats->publish_topic is. */
bool nats_topic_publish(struct nats_session *s, struct live_message *m);

/* What struct nats_shard's hook `append` runs: the batches of the turn go into their logs. */
void nats_batches_end(struct shard_hook *hook, struct shard *s);
void nats_topics_close(struct nats_shard *h);

/* Taps: what is appended to topics reaches subscribers. Called once, from nats_open. */
void nats_tap_open(struct broker *b);
/* The reactor may go on with what it held back. */
void nats_taps_go_on(struct nats_shard *h);
void nats_taps_close(struct nats_shard *h);

#endif
