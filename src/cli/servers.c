/* SPDX-License-Identifier: MIT */
/* Addresses of servers, as users write them. */
#include "cli/proto.h"

#include <stdio.h>
#include <string.h>

static bool copy(char *to, size_t room, const char *from, size_t size)
{
    if (size >= room)
        return false;
    memcpy(to, from, size);
    to[size] = '\0';
    return true;
}

static bool take_port(struct cli_server *s, const char *text, size_t size)
{
    if (size == 0 || size > 5 || strspn(text, "0123456789") < size)
        return false;
    return copy(s->port, sizeof s->port, text, size);
}

/* host, host:port, [address]:port */
static bool take_address(struct cli_server *s, const char *at, size_t size, const char *port)
{
    const char *end = at + size, *after = at;
    if (size > 0 && at[0] == '[') {
        const char *close = memchr(at, ']', size);
        if (close == NULL || !copy(s->host, sizeof s->host, at + 1, (size_t)(close - at - 1)))
            return false;
        after = close + 1;
    } else {
        const char *colon = memchr(at, ':', size);
        after = colon == NULL ? end : colon;
        if (!copy(s->host, sizeof s->host, at, (size_t)(after - at)))
            return false;
    }
    if (s->host[0] == '\0')
        return false;
    if (after == end)
        return copy(s->port, sizeof s->port, port, strlen(port));
    return *after == ':' && take_port(s, after + 1, (size_t)(end - after - 1));
}

static bool take_user(struct cli_server *s, const char *at, size_t size)
{
    const char *colon = memchr(at, ':', size);
    size_t user = colon == NULL ? size : (size_t)(colon - at);
    if (!copy(s->user, sizeof s->user, at, user))
        return false;
    return colon == NULL || copy(s->password, sizeof s->password, colon + 1, size - user - 1);
}

static enum outcome take_one(struct cli_server *s, const char *text, size_t size, const char *port)
{
    static const char *schemes[] = {"nats://", "http://"};
    const char *at = text, *end = text + size;
    *s = (struct cli_server){0};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (size >= 7 && strncmp(at, schemes[i], 7) == 0)
            at += 7;
    }
    if (memmem(at, (size_t)(end - at), "://", 3) != NULL)
        return cli_fail(OUT_INVALID, "%.*s: only nats:// is there in this version", (int)size,
                        text);
    while (end > at && end[-1] == '/')
        end--;
    const char *sign = memrchr(at, '@', (size_t)(end - at));
    if (sign != NULL && !take_user(s, at, (size_t)(sign - at)))
        return cli_fail(OUT_INVALID, "%.*s: user or password is too long", (int)size, text);
    if (sign != NULL)
        at = sign + 1;
    if (!take_address(s, at, (size_t)(end - at), port))
        return cli_fail(OUT_INVALID, "%.*s is no address: HOST:PORT is wanted", (int)size, text);
    return OUT_OK;
}

enum outcome cli_servers_parse(const char *text, const char *port, struct cli_servers *s)
{
    s->count = 0;
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        if (s->count == CLI_SERVERS_MAX)
            return cli_fail(OUT_INVALID, "more than %d servers", CLI_SERVERS_MAX);
        enum outcome o = take_one(&s->list[s->count++], at, size, port);
        if (o != OUT_OK)
            return o;
        at += size;
        if (*at == '\0')
            return OUT_OK;
    }
}
