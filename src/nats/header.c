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

bool nats_duration(struct bytes text, int64_t *ms)
{
    return log_duration(text, ms);
}

int64_t nats_deadline(struct bytes headers, int64_t wall_ms)
{
    struct bytes ttl = nats_header(headers, "Nats-TTL");
    int64_t ms = 0;
    /* None, "never", or nothing we know: it does not expire. */
    return ttl.size > 0 && nats_duration(ttl, &ms) ? wall_ms + ms : 0;
}
