/* SPDX-License-Identifier: MIT */
/*
 * Requests to the door itself, on subjects that begin with a dollar sign: replay of topics in the
 * form of JetStream's direct gets, durable consumers and their acknowledgements. docs/nats.md
 * describes them for users.
 */
#ifndef NATS_API_H
#define NATS_API_H

#include "nats/topic.h"

/* True when the subject is one of the door's own and was served. */
MUST bool nats_api(struct nats_session *s, const struct live_message *m);

/* Answers a request with headers (a whole block, or size 0) and payload. */
void nats_answer(struct nats_shard *h, struct bytes reply, struct bytes headers,
                 struct bytes payload);
/* Answers with a status line alone: "404 Message Not Found". */
void nats_answer_status(struct nats_shard *h, struct bytes reply, const char *status);

/* ---- reading topics, direct.c ---- */

/* $JS.API.DIRECT.GET.<topic>[.<subject>]; `rest` is what follows the prefix. */
void nats_direct_get(struct nats_session *s, struct bytes rest, const struct live_message *m);

/* Header lines that say where a record is: Nats-Stream, -Sequence, -Time-Stamp, -Partition. Needs
 * 400 bytes; returns their size. */
int nats_place_lines(const struct partition *p, const struct log_record *r, char *to, size_t room);

/* Calls `each` for records from `from` on, below the last stable offset, until it says to stop or
 * about `bytes` were looked at. Returns the offset to go on from; *end: the last stable offset. */
bool nats_batch_aborted(struct partition *p, const struct log_batch *b, struct arena *arena);
enum nats_walk { NATS_WALK_ON, NATS_WALK_STOP };
int64_t nats_walk(struct partition *p, int64_t from, size_t bytes, int64_t *end,
                  enum nats_walk (*each)(void *context, const struct log_record *r),
                  void *context);

#endif
