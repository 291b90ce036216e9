/* SPDX-License-Identifier: MIT */
/*
 * What subjects of the NATS door get: `pattern=word[:word]...`, where a word is a policy, a number
 * of messages, or a time to live with its unit.
 */
#include "config/private.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const overflows[] = {"disconnect", "drop-oldest", "drop-newest", "block"};

bool config_overflow(struct bytes text, enum nats_overflow *overflow)
{
    for (size_t i = 0; i < COUNT_OF(overflows); i++) {
        if (bytes_is(text, overflows[i])) {
            *overflow = (enum nats_overflow)i;
            return true;
        }
    }
    return false;
}

/* "5s": milliseconds; without a unit the number itself. */
static bool take_number(struct bytes text, int64_t *number, bool *is_time)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = 0;
    int64_t n = 0;
    for (; digits < text.size && text.at[digits] >= '0' && text.at[digits] <= '9'; digits++) {
        n = n * 10 + (text.at[digits] - '0');
        if (n > INT32_MAX)
            return false;
    }
    struct bytes unit = {text.at + digits, text.size - digits};
    *is_time = unit.size > 0;
    *number = n;
    for (size_t i = 0; *is_time && i < COUNT_OF(units); i++) {
        if (bytes_is(unit, units[i].name)) {
            *number = n * units[i].ms;
            return digits > 0;
        }
    }
    return digits > 0 && !*is_time;
}

static bool take_word(struct bytes word, struct config_subject *s)
{
    enum nats_overflow overflow;
    int64_t number;
    bool is_time;
    if (config_overflow(word, &overflow)) {
        s->overflow = (int8_t)overflow;
        return true;
    }
    if (!take_number(word, &number, &is_time) || (number == 0 && !is_time))
        return false;
    if (is_time)
        s->ttl_ms = number;
    else
        s->messages = (int32_t)number;
    return true;
}

/* Tokens between dots are not empty and hold no blanks; `>` is the last one. */
static bool is_pattern(struct bytes p)
{
    bool begins = true;
    if (p.size == 0 || p.size >= sizeof((struct config_subject *)0)->pattern ||
        p.at[p.size - 1] == '.')
        return false;
    for (size_t i = 0; i < p.size; i++) {
        bool ends = i + 1 == p.size || p.at[i + 1] == '.';
        if (p.at[i] <= ' ' || p.at[i] == 0x7f || (p.at[i] == '.' && begins))
            return false;
        if (p.at[i] == '>' && begins && ends && i + 1 != p.size)
            return false;
        begins = p.at[i] == '.';
    }
    return true;
}

bool config_subject_parse(struct bytes text, struct config_subject *s)
{
    size_t cut = text.size;
    while (cut > 0 && text.at[cut - 1] != '=')
        cut--;
    *s = (struct config_subject){.overflow = -1, .ttl_ms = -1};
    if (cut == 0 || !is_pattern((struct bytes){text.at, cut - 1}))
        return false;
    memcpy(s->pattern, text.at, cut - 1);
    struct bytes rest = {text.at + cut, text.size - cut};
    for (;;) {
        const uint8_t *colon = rest.size == 0 ? NULL : memchr(rest.at, ':', rest.size);
        size_t size = colon == NULL ? rest.size : (size_t)(colon - rest.at);
        if (!take_word((struct bytes){rest.at, size}, s))
            return false;
        if (colon == NULL)
            return true;
        rest = (struct bytes){colon + 1, rest.size - size - 1};
    }
}

enum outcome config_settle_subjects(struct config *c)
{
    struct bytes rest = bytes_of(config_text(c, "nats.subjects", NULL)), word;
    size_t room = 0;
    free(c->subjects);
    c->subjects = NULL;
    c->subject_count = 0;
    while (config_list_next(&rest, &word)) {
        if (c->subject_count == room) {
            room = MAX(room * 2, 8);
            struct config_subject *more = realloc(c->subjects, room * sizeof *more);
            if (more == NULL)
                return fail(OUT_NO_MEMORY, "keep the setting nats.subjects");
            c->subjects = more;
        }
        if (word.size == 0)
            continue;
        if (!config_subject_parse(word, &c->subjects[c->subject_count]))
            return fail(OUT_INVALID, "nats.subjects: %.*s is not pattern=policy[:messages][:ttl]",
                        (int)MIN(word.size, 120), (const char *)word.at);
        c->subject_count++;
    }
    return OUT_OK;
}
