/* SPDX-License-Identifier: MIT */
/*
 * ListTransactions: all transactional ids, filtered by state, producer id, how long a transaction
 * has been open, and a pattern (POSIX extended regular expression; Kafka's are RE2/J's, of which
 * these are the common part).
 */
#include "kafka/txns.h"

#include <regex.h>

#define PATTERN_MAX 256

struct listing {
    regex_t pattern;
    bool has_pattern;
    size_t room;
};

static bool has_state(const struct list_transactions_request *in, const char *state)
{
    for (int32_t i = 0; i < in->state_filters_count; i++) {
        if (bytes_is(in->state_filters[i], state))
            return true;
    }
    return in->state_filters_count <= 0;
}

static bool has_producer(const struct list_transactions_request *in, int64_t id)
{
    for (int32_t i = 0; i < in->producer_id_filters_count; i++) {
        if (in->producer_id_filters[i] == id)
            return true;
    }
    return in->producer_id_filters_count <= 0;
}

/* The whole id has to match. */
static bool matches(struct call *c, const struct listing *l, struct bytes id)
{
    regmatch_t match = {.rm_so = 0, .rm_eo = (regoff_t)id.size};
    struct bytes text = arena_print(c->arena, "%.*s", (int)id.size, (const char *)id.at);
    if (text.at == NULL)
        return false;
    return regexec(&l->pattern, (const char *)text.at, 1, &match, 0) == 0 && match.rm_so == 0 &&
           (size_t)match.rm_eo == text.size;
}

static bool wanted(struct call *c, const struct txn_described *d)
{
    const struct list_transactions_request *in = c->in;
    const struct listing *l = c->state;
    if (!has_state(in, d->state) || !has_producer(in, d->producer_id))
        return false;
    if (in->duration_filter >= 0 && shard_self()->wall_ms - d->start_ms <= in->duration_filter)
        return false;
    return !l->has_pattern || matches(c, l, d->id);
}

/* Owner's thread, once for each partition. */
static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    struct list_transactions_response *out = c->out;
    struct listing *l = c->state;
    (void)index;
    if (r->outcome != OUT_OK || r->described_count == 0)
        return;
    size_t have = (size_t)out->transaction_states_count;
    if (have + r->described_count > l->room) {
        size_t room = (have + r->described_count) * 2;
        struct list_transactions_response_transaction_states *more =
            arena_array(c->arena, struct list_transactions_response_transaction_states, room);
        if (more == NULL)
            return;
        if (have > 0)
            memcpy(more, out->transaction_states, have * sizeof *more);
        out->transaction_states = more;
        l->room = room;
    }
    for (size_t i = 0; i < r->described_count; i++) {
        const struct txn_described *d = &r->described[i];
        if (wanted(c, d))
            out->transaction_states[out->transaction_states_count++] =
                (struct list_transactions_response_transaction_states){
                    .transactional_id = arena_copy(c->arena, d->id),
                    .producer_id = d->producer_id, .transaction_state = bytes_of(d->state)};
    }
}

static void finish(struct request *r)
{
    struct call *c = call_of(r);
    struct listing *l = c->state;
    if (l->has_pattern)
        regfree(&l->pattern);
    call_finish(c);
}

/* Back references and counts can make matching take for ever; RE2 has no back references either. */
static bool harmless(struct bytes pattern)
{
    for (size_t i = 0; i < pattern.size; i++) {
        bool escaped = pattern.at[i] == '\\' && i + 1 < pattern.size;
        if (pattern.at[i] == 0 || pattern.at[i] == '{' ||
            (escaped && pattern.at[i + 1] >= '0' && pattern.at[i + 1] <= '9'))
            return false;
        i += escaped;
    }
    return pattern.size <= PATTERN_MAX;
}

/* What begins a pattern or a group in RE2's words only: in either case of letters; a name. */
static char *without_extras(struct arena *a, struct bytes pattern, bool *any_case)
{
    *any_case = pattern.size >= 4 && memcmp(pattern.at, "(?i)", 4) == 0;
    char *to = arena_array(a, char, pattern.size + 1);
    size_t size = 0;
    for (size_t i = *any_case ? 4 : 0; to != NULL && i < pattern.size; i++) {
        const uint8_t *at = &pattern.at[i];
        const uint8_t *end = memchr(at, '>', pattern.size - i);
        to[size++] = (char)*at;
        if (*at == '(' && end != NULL && at[1] == '?' && (at[2] == '<' || at[2] == 'P'))
            i = (size_t)(end - pattern.at);
    }
    return to;
}

static bool compile(struct call *c, struct listing *l, struct bytes pattern)
{
    bool any_case;
    if (!harmless(pattern))
        return false;
    char *text = without_extras(c->arena, pattern, &any_case);
    /* Unbalanced brackets and lone repeats are what Kafka refuses, too. */
    l->has_pattern = text != NULL && regcomp(&l->pattern, text, REG_EXTENDED |
                                             (any_case ? REG_ICASE : 0)) == 0;
    return l->has_pattern;
}

static bool note_unknown(struct call *c)
{
    const struct list_transactions_request *in = c->in;
    struct list_transactions_response *out = c->out;
    out->unknown_state_filters =
        arena_array(c->arena, struct bytes, (size_t)MAX(in->state_filters_count, 0));
    if (out->unknown_state_filters == NULL)
        return false;
    for (int32_t i = 0; i < in->state_filters_count; i++) {
        if (!txn_state_known(in->state_filters[i]))
            out->unknown_state_filters[out->unknown_state_filters_count++] = in->state_filters[i];
    }
    return true;
}

enum verdict list_transactions_handle(struct call *c)
{
    const struct list_transactions_request *in = c->in;
    struct list_transactions_response *out = c->out;
    struct coordinator_work *w = txn_work(c, 1, answer);
    struct listing *l = arena_new(c->arena, struct listing);
    if (w == NULL || l == NULL || !note_unknown(c))
        return REQ_CLOSE;
    c->state = l;
    if (in->transactional_id_pattern.size > 0 && !compile(c, l, in->transactional_id_pattern)) {
        out->error_code = KAFKA_INVALID_REGULAR_EXPRESSION;
        return REQ_DONE;
    }
    w->everywhere = true;
    w->done = finish;
    w->txn_events[0] = (struct txn_event){.kind = TXN_LIST};
    enum verdict v = coordinator_submit(w);
    if (v != REQ_PARKED && l->has_pattern)
        regfree(&l->pattern);
    return v;
}
