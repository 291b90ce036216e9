/* SPDX-License-Identifier: MIT */
/*
 * The NATS client protocol, parsed as nats-server does: verbs in any case, arguments split by runs
 * of blanks and tabs, a line ends at LF and a CR before it is dropped, a payload is counted and
 * ends with CR LF. A wrong byte is told as soon as it is there, not when the line is whole.
 */
#include "nats/parse.h"

#define ARGUMENTS_MAX 4
#define DIGITS_MAX 9 /* of a size: more is refused, whatever the digits are */

enum form {
    FORM_BARE,   /* nothing; what stands there is ignored */
    FORM_TEXT,   /* one argument, blanks included */
    FORM_WORDS,  /* words, at least one blank before them */
};

static const struct verb {
    const char *name;
    uint8_t size;
    enum form form;
    enum nats_verb verb;
} verbs[] = {
    {"PUB", 3, FORM_WORDS, NATS_PUB}, {"HPUB", 4, FORM_WORDS, NATS_HPUB},
    {"SUB", 3, FORM_WORDS, NATS_SUB}, {"UNSUB", 5, FORM_WORDS, NATS_UNSUB},
    {"PING", 4, FORM_BARE, NATS_PING}, {"PONG", 4, FORM_BARE, NATS_PONG},
    {"CONNECT", 7, FORM_TEXT, NATS_CONNECT}, {"INFO", 4, FORM_TEXT, NATS_INFO},
    {"+OK", 3, FORM_BARE, NATS_OK}, {"-ERR", 4, FORM_TEXT, NATS_ERR},
};

static bool blank(uint8_t c) { return c == ' ' || c == '\t'; }

static uint8_t upper(uint8_t c) { return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c; }

/* How many bytes of the name stand at the start of `in`. */
static size_t common(const struct verb *v, struct bytes in)
{
    size_t i = 0;
    while (i < v->size && i < in.size && upper(in.at[i]) == (uint8_t)v->name[i])
        i++;
    return i;
}

static enum nats_parsed find_verb(struct bytes in, const struct verb **verb)
{
    bool begun = false;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        size_t same = common(&verbs[i], in);
        if (same == verbs[i].size) {
            *verb = &verbs[i];
            return NATS_PARSED;
        }
        begun |= same == in.size;
    }
    return begun ? NATS_MORE : NATS_UNKNOWN;
}

static size_t split(struct bytes line, struct bytes words[static ARGUMENTS_MAX])
{
    size_t count = 0, at = 0;
    for (;;) {
        while (at < line.size && blank(line.at[at]))
            at++;
        if (at == line.size)
            return count;
        if (count == ARGUMENTS_MAX)
            return ARGUMENTS_MAX + 1;
        size_t from = at;
        while (at < line.size && !blank(line.at[at]))
            at++;
        words[count++] = (struct bytes){line.at + from, at - from};
    }
}

/* -1: not a size. */
static int64_t size_of(struct bytes word)
{
    int64_t n = 0;
    if (word.size == 0 || word.size > DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return -1;
        n = n * 10 + (word.at[i] - '0');
    }
    return n;
}

/* The message behind a PUB or HPUB line of `line` bytes. */
static enum nats_parsed take_payload(struct bytes in, size_t line, size_t header, size_t total,
                                     struct nats_op *op, size_t *used, size_t *want)
{
    size_t end = line + total;
    if (in.size <= end) {
        *want = end + 1; /* one more shows whether a CR follows */
        return NATS_MORE;
    }
    if (in.at[end] != '\r')
        return NATS_UNKNOWN;
    if (in.size == end + 1) {
        *want = end + 2;
        return NATS_MORE;
    }
    if (in.at[end + 1] != '\n')
        return NATS_UNKNOWN;
    op->headers = (struct bytes){in.at + line, header};
    op->payload = (struct bytes){in.at + line + header, total - header};
    *used = end + 2;
    return NATS_PARSED;
}

static enum nats_parsed take_publish(struct bytes in, size_t line, const struct bytes *words,
                                     size_t count, const struct nats_limits *limits,
                                     struct nats_op *op, size_t *used, size_t *want)
{
    size_t sizes = op->verb == NATS_HPUB ? 2 : 1;
    if (count < sizes + 1 || count > sizes + 2)
        return NATS_BROKEN;
    int64_t total = size_of(words[count - 1]);
    int64_t header = op->verb == NATS_HPUB ? size_of(words[count - 2]) : 0;
    if (total < 0 || header < 0 || header > total)
        return NATS_BROKEN;
    if ((size_t)total > limits->payload)
        return NATS_PAYLOAD_TOO_LARGE;
    op->subject = words[0];
    op->reply = count == sizes + 2 ? words[1] : (struct bytes){0};
    return take_payload(in, line, (size_t)header, (size_t)total, op, used, want);
}

static enum nats_parsed take_words(const struct bytes *words, size_t count, struct nats_op *op)
{
    if (op->verb == NATS_SUB) {
        if (count != 2 && count != 3)
            return NATS_BROKEN;
        op->subject = words[0];
        op->queue = count == 3 ? words[1] : (struct bytes){0};
        op->sid = words[count - 1];
        return NATS_PARSED;
    }
    if (count != 1 && count != 2)
        return NATS_BROKEN;
    op->sid = words[0];
    op->max = count == 2 ? MAX(size_of(words[1]), 0) : 0;
    return NATS_PARSED;
}

enum nats_parsed nats_parse(struct bytes in, const struct nats_limits *limits, struct nats_op *op,
                            size_t *used, size_t *want)
{
    const struct verb *v = NULL;
    *want = 0;
    enum nats_parsed found = find_verb(in, &v);
    if (found != NATS_PARSED)
        return found;
    size_t at = v->size;
    if (at == in.size)
        return NATS_MORE;
    if ((v->form == FORM_WORDS || v->verb == NATS_ERR) && !blank(in.at[at]))
        return NATS_UNKNOWN;
    while (at < in.size && blank(in.at[at]) && at <= limits->control_line)
        at++;
    /* The limit counts what follows the verb; one byte more may be the CR. */
    size_t look = MIN(in.size - at, limits->control_line + 2);
    const uint8_t *lf = look == 0 ? NULL : memchr(in.at + at, '\n', look);
    if (lf == NULL)
        return in.size - at > limits->control_line + 1 ? NATS_LINE_TOO_LONG : NATS_MORE;
    size_t line = (size_t)(lf + 1 - in.at);
    struct bytes argument = {in.at + at, line - 1 - at};
    if (argument.size > 0 && argument.at[argument.size - 1] == '\r')
        argument.size--;
    if (argument.size > limits->control_line)
        return NATS_LINE_TOO_LONG;
    *op = (struct nats_op){.verb = v->verb, .argument = argument};
    *used = line;
    if (v->form != FORM_WORDS)
        return NATS_PARSED;
    struct bytes words[ARGUMENTS_MAX];
    size_t count = split(argument, words);
    if (v->verb == NATS_PUB || v->verb == NATS_HPUB)
        return take_publish(in, line, words, count, limits, op, used, want);
    return take_words(words, count, op);
}

/* ---- the quick way ---- */

/* The end of a word: the first byte that is not above a blank, or the end. */
static inline const uint8_t *word_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at > ' ')
        at++;
    return at;
}

/* Digits from `*at` on; -1: none, or too many. */
static inline int64_t take_number(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *from = *at, *to = from;
    int64_t n = 0;
    for (; to < end && (uint8_t)(*to - '0') <= 9; to++)
        n = n * 10 + (*to - '0');
    *at = to;
    return to == from || to - from > DIGITS_MAX ? -1 : n;
}

static inline bool is_crlf(const uint8_t *at)
{
    return at[0] == '\r' && at[1] == '\n';
}

/* A reply subject may stand before the sizes: it is one when a blank follows what must be the last
 * size otherwise. */
static bool take_sizes(const uint8_t **line, const uint8_t *end, bool headers, struct nats_op *op,
                       int64_t *header, int64_t *total)
{
    const uint8_t *at = *line, *stop = end;
    int words = headers ? 2 : 1, seen = 0;
    for (const uint8_t *w = at; seen <= words; w = stop + 1) {
        stop = word_end(w, end);
        if (stop == end || stop == w)
            return false;
        seen++;
        if (*stop != ' ')
            break;
    }
    if (seen == words + 1) {
        const uint8_t *reply_end = word_end(at, end);
        op->reply = (struct bytes){at, (size_t)(reply_end - at)};
        at = reply_end + 1;
    } else if (seen != words) {
        return false;
    }
    *header = headers ? take_number(&at, end) : 0;
    if (headers && *at++ != ' ')
        return false;
    *total = take_number(&at, end);
    *line = at;
    return at == stop && *header >= 0 && *total >= *header;
}

bool nats_parse_quick(struct bytes in, const struct nats_limits *limits, struct bytes last,
                      struct nats_op *op, size_t *used)
{
    bool headers = in.size > 0 && in.at[0] == 'H';
    const uint8_t *at = in.at + headers, *end = in.at + in.size;
    if (end - at < 12 || memcmp(at, "PUB ", 4) != 0)
        return false;
    const uint8_t *subject = at += 4;
    bool again = last.size > 0 && (size_t)(end - at) > last.size && at[last.size] == ' ' &&
                 memcmp(at, last.at, last.size) == 0;
    at = again ? at + last.size : word_end(at, end);
    if (at == end || at == subject || *at != ' ')
        return false;
    op->subject = (struct bytes){subject, (size_t)(at - subject)};
    const uint8_t *sizes = ++at;
    int64_t header = 0, total = headers ? -1 : take_number(&at, end);
    op->reply = (struct bytes){0};
    if (total < 0 || at == end || *at != '\r') { /* with a reply or headers */
        at = sizes;
        if (!take_sizes(&at, end, headers, op, &header, &total))
            return false;
    }
    if (end - at < total + 4 || !is_crlf(at) || !is_crlf(at + 2 + total) ||
        (size_t)total > limits->payload || (size_t)(at - subject) > limits->control_line)
        return false;
    at += 2;
    op->verb = headers ? NATS_HPUB : NATS_PUB;
    op->again = again;
    op->headers = (struct bytes){at, (size_t)header};
    op->payload = (struct bytes){at + header, (size_t)(total - header)};
    *used = (size_t)(at + total + 2 - in.at);
    return true;
}
