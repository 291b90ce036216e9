/* SPDX-License-Identifier: MIT */
/* Which of the door's own services a subject is for. See api.h. */
#include "nats/consumer.h"

#include <stdio.h>

static bool begins(struct bytes subject, const char *prefix, struct bytes *rest)
{
    size_t size = strlen(prefix);
    if (subject.size <= size || memcmp(subject.at, prefix, size) != 0)
        return false;
    *rest = (struct bytes){subject.at + size, subject.size - size};
    return true;
}

void nats_answer(struct nats_shard *h, struct bytes reply, struct bytes headers,
                 struct bytes payload)
{
    struct live_reach reach = {0};
    struct live_message m = {.subject = reply, .headers = headers, .payload = payload,
                             .offset = -1, .timestamp_ms = h->shard->wall_ms};
    if (reply.size > 0 && reply.size <= LIVE_SUBJECT_MAX)
        nats_fan_out(h, &m, NULL, NULL, &reach);
}

void nats_answer_status(struct nats_shard *h, struct bytes reply, const char *status)
{
    char block[512];
    int size = snprintf(block, sizeof block, "NATS/1.0 %s\r\n\r\n", status);
    nats_answer(h, reply, bytes_view(block, (size_t)size), bytes_of(""));
}

static const struct service {
    const char *prefix;
    void (*serve)(struct nats_session *s, struct bytes rest, const struct live_message *m);
} services[] = {
    {"$JS.API.DIRECT.GET.", nats_direct_get},
    {"$JS.ACK.", consumer_acknowledge},
    {"$FLUX.API.CONSUMER.", consumer_api},
};

bool nats_api(struct nats_session *s, const struct live_message *m)
{
    struct bytes rest;
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        if (begins(m->subject, services[i].prefix, &rest)) {
            services[i].serve(s, rest, m);
            return true;
        }
    }
    return false;
}
