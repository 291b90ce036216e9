/* SPDX-License-Identifier: MIT */
/*
 * Subjects: what is a valid one, and how patterns relate to subjects and to each other. `*` and `>`
 * are wildcards only as whole tokens, `>` only as the last one ("a*" is a plain token).
 */
#include "live/private.h"

struct bytes subject_token(struct bytes *rest)
{
    const uint8_t *dot = memchr(rest->at, '.', rest->size);
    if (dot == NULL) {
        struct bytes token = *rest;
        *rest = (struct bytes){NULL, 0};
        return token;
    }
    struct bytes token = {rest->at, (size_t)(dot - rest->at)};
    *rest = (struct bytes){dot + 1, rest->size - token.size - 1};
    return token;
}

enum live_subject live_subject_kind(struct bytes subject)
{
    if (subject.size == 0 || subject.size > LIVE_SUBJECT_MAX)
        return LIVE_BAD;
    bool wild = false;
    size_t start = 0;
    for (size_t i = 0; i <= subject.size; i++) {
        if (i < subject.size && subject.at[i] != '.') {
            if (subject.at[i] <= ' ' || subject.at[i] == 0x7f)
                return LIVE_BAD;
            continue;
        }
        if (i == start)
            return LIVE_BAD;
        if (i - start == 1 && subject.at[start] == '>' && i < subject.size)
            return LIVE_BAD;
        wild |= i - start == 1 && (subject.at[start] == '*' || subject.at[start] == '>');
        start = i + 1;
    }
    return wild ? LIVE_WILDCARD : LIVE_LITERAL;
}

bool live_matches(struct bytes pattern, struct bytes subject)
{
    while (pattern.at != NULL && subject.at != NULL) {
        struct bytes p = subject_token(&pattern);
        if (token_is(p, '>'))
            return true;
        struct bytes t = subject_token(&subject);
        if (!token_is(p, '*') && !bytes_equal(p, t))
            return false;
    }
    return pattern.at == NULL && subject.at == NULL;
}

bool live_covers(struct bytes pattern, struct bytes inner)
{
    while (pattern.at != NULL && inner.at != NULL) {
        struct bytes p = subject_token(&pattern);
        if (token_is(p, '>'))
            return true;
        struct bytes t = subject_token(&inner);
        if (token_is(t, '>'))
            return false;
        if (!token_is(p, '*') && !bytes_equal(p, t))
            return false;
    }
    return pattern.at == NULL && inner.at == NULL;
}

bool live_overlaps(struct bytes a, struct bytes b)
{
    while (a.at != NULL && b.at != NULL) {
        struct bytes s = subject_token(&a), t = subject_token(&b);
        if (token_is(s, '>') || token_is(t, '>'))
            return true;
        if (!token_is(s, '*') && !token_is(t, '*') && !bytes_equal(s, t))
            return false;
    }
    return a.at == NULL && b.at == NULL;
}
