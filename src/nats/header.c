/* SPDX-License-Identifier: MIT */
/*
 * NATS header blocks: a version line, then `Name: value` lines, then an empty one. Names are
 * compared as they are written, as every NATS client does.
 */
#include "nats/private.h"

static bool next_line(struct bytes *rest, struct bytes *line)
{
    const uint8_t *lf = rest->size == 0 ? NULL : memchr(rest->at, '\n', rest->size);
    if (lf == NULL)
        return false;
    size_t size = (size_t)(lf - rest->at);
    *line = (struct bytes){rest->at, size > 0 && lf[-1] == '\r' ? size - 1 : size};
    *rest = (struct bytes){lf + 1, rest->size - size - 1};
    return true;
}

struct bytes nats_header(struct bytes headers, const char *name)
{
    struct bytes line;
    size_t size = strlen(name);
    if (!next_line(&headers, &line))
        return (struct bytes){0};
    while (next_line(&headers, &line)) {
        if (line.size <= size || line.at[size] != ':' || memcmp(line.at, name, size) != 0)
            continue;
        struct bytes value = {line.at + size + 1, line.size - size - 1};
        while (value.size > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
            value = (struct bytes){value.at + 1, value.size - 1};
        while (value.size > 0 && (value.at[value.size - 1] == ' ' ||
                                  value.at[value.size - 1] == '\t'))
            value.size--;
        return value;
    }
    return (struct bytes){0};
}

/* One number with its unit, "1.5h" or "250ms"; false: neither. */
static bool take_part(struct bytes *text, double *ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"h", 36e5}, {"m", 6e4}, {"s", 1e3}};
    double number = 0, scale = 1;
    size_t at = 0, digits = 0;
    bool point = false;
    for (; at < text->size; at++) {
        uint8_t c = text->at[at];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        number = number * 10 + (c - '0');
        scale *= point ? 10 : 1;
        digits++;
    }
    if (digits == 0 || digits > 15)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t size = strlen(units[i].name);
        if (text->size - at < size || memcmp(text->at + at, units[i].name, size) != 0)
            continue;
        *ms += number / scale * units[i].ms;
        *text = (struct bytes){text->at + at + size, text->size - at - size};
        return true;
    }
    return false;
}

bool nats_duration(struct bytes text, int64_t *ms)
{
    double sum = 0, seconds = 0;
    bool whole = text.size > 0 && text.size < 12;
    for (size_t i = 0; i < text.size; i++) {
        whole &= text.at[i] >= '0' && text.at[i] <= '9';
        seconds = seconds * 10 + (text.at[i] - '0');
    }
    if (text.size == 0 || text.size > 64)
        return false;
    while (!whole && text.size > 0) {
        if (!take_part(&text, &sum))
            return false;
    }
    sum = whole ? seconds * 1000 : sum;
    *ms = (int64_t)sum;
    return sum <= 1e15;
}

int64_t nats_deadline(struct bytes headers, int64_t wall_ms)
{
    struct bytes ttl = nats_header(headers, "Nats-TTL");
    int64_t ms = 0;
    /* None, "never", or nothing we know: it does not expire. */
    return ttl.size > 0 && nats_duration(ttl, &ms) ? wall_ms + ms : 0;
}
