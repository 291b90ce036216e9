/* SPDX-License-Identifier: MIT */
/* See policy.h. Cold but for nats_policy_ttl, which is one comparison while no prefix is set. */
#include "nats/policy.h"

#include "nats/topic.h"

/* ---- a subscription's own ---- */

/* Cuts "-123" off the end. */
static bool cut_number(struct bytes *word, uint32_t *number)
{
    size_t at = word->size;
    uint64_t n = 0;
    while (at > 0 && word->at[at - 1] >= '0' && word->at[at - 1] <= '9')
        at--;
    if (at == word->size || at == 0 || word->at[at - 1] != '-')
        return true; /* no number */
    for (size_t i = at; i < word->size && n <= INT32_MAX; i++)
        n = n * 10 + (uint64_t)(word->at[i] - '0');
    word->size = at - 1;
    *number = (uint32_t)n;
    return n > 0 && n <= INT32_MAX;
}

bool nats_wish_take(struct bytes *subject, struct nats_wish *wish)
{
    enum nats_overflow overflow;
    size_t skip = sizeof NATS_LIVE_PREFIX - 1;
    struct bytes rest = {subject->at + skip, subject->size - skip};
    const uint8_t *dot = rest.size == 0 ? NULL : memchr(rest.at, '.', rest.size);
    *wish = (struct nats_wish){.given = true};
    if (dot == NULL)
        return false;
    struct bytes word = {rest.at, (size_t)(dot - rest.at)};
    if (!cut_number(&word, &wish->messages) || !config_overflow(word, &overflow))
        return false;
    wish->overflow = (enum live_overflow)overflow;
    *subject = (struct bytes){dot + 1, (size_t)(rest.at + rest.size - dot) - 1};
    return subject->size > 0;
}

/* ---- topics and prefixes ---- */

/* The topic that all subjects under this pattern belong to. */
static const struct topic *topic_of(struct bytes subject)
{
    const struct view *v = broker_view();
    struct nats_topic t;
    if (live_subject_kind(subject) == LIVE_LITERAL)
        return nats_topic_of(subject, &t) ? t.topic : NULL;
    for (size_t i = 0; v != NULL && i < v->topic_count; i++) {
        if (v->topics[i]->internal)
            continue;
        nats_topic_patterns(v->topics[i], &t);
        for (size_t j = 0; j < t.pattern_count; j++) {
            if (live_covers(t.patterns[j], subject))
                return t.topic;
        }
    }
    return NULL;
}

static const struct config_subject *prefix_of(const struct config *c, struct bytes subject)
{
    for (size_t i = 0; i < c->subject_count; i++) {
        if (live_covers(bytes_of(c->subjects[i].pattern), subject))
            return &c->subjects[i];
    }
    return NULL;
}

/* Policy and number each by the first that says them. */
const struct topic *nats_policy_set(struct nats *n, struct bytes subject,
                                    const struct nats_wish *wish, struct live_sub *sub)
{
    int overflow = wish->given ? (int)wish->overflow : -1;
    uint32_t messages = wish->messages;
    const struct topic *topic = NULL;
    if (n->broker != NULL) {
        const struct config *c = broker_config(n->broker);
        topic = topic_of(subject);
        const struct topic_config *t = topic == NULL ? NULL : &topic->config;
        const struct config_subject *p = c->subject_count == 0 ? NULL : prefix_of(c, subject);
        overflow = overflow < 0 && t != NULL ? t->live_overflow : overflow;
        messages = messages == 0 && t != NULL ? (uint32_t)t->live_backlog : messages;
        overflow = overflow < 0 && p != NULL ? p->overflow : overflow;
        messages = messages == 0 && p != NULL ? (uint32_t)p->messages : messages;
        overflow = overflow < 0 ? (int)c->nats_overflow : overflow;
        messages = messages == 0 ? (uint32_t)c->nats_overflow_messages : messages;
    }
    overflow = overflow < 0 ? (int)n->options.overflow : overflow;
    messages = messages == 0 ? n->options.overflow_messages : messages;
    sub->overflow = (uint8_t)overflow;
    sub->backlog_max = overflow == LIVE_DISCONNECT ? 0 : messages;
    return topic;
}

int64_t nats_policy_ttl(const struct nats *n, struct bytes subject)
{
    const struct config *c = n->broker == NULL ? NULL : broker_config(n->broker);
    if (likely(c == NULL || c->subject_count == 0))
        return -1;
    for (size_t i = 0; i < c->subject_count; i++) {
        if (c->subjects[i].ttl_ms >= 0 &&
            live_matches(bytes_of(c->subjects[i].pattern), subject))
            return c->subjects[i].ttl_ms;
    }
    return -1;
}
