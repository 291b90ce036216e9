/* SPDX-License-Identifier: MIT */
/*
 * listeners and advertised.listeners: where clients connect, and what Metadata tells them for the
 * listener they came in on. Listeners of controllers are left out: there are none to talk to.
 */
#include "config/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* "NAME://host:port", "host:port"; an empty host means every address. */
static enum outcome endpoint(const char *text, char *name, size_t name_room, char *host,
                             size_t host_room, int32_t *port)
{
    const char *at = strstr(text, "://"), *colon = strrchr(text, ':');
    if (colon == NULL || (at != NULL && colon == at))
        return fail(OUT_INVALID, "%s is no HOST:PORT", text);
    if (at != NULL && name != NULL)
        snprintf(name, name_room, "%.*s", (int)(at - text), text);
    const char *begin = at == NULL ? text : at + 3;
    size_t size = (size_t)(colon - begin);
    if (size >= 2 && begin[0] == '[' && begin[size - 1] == ']') {
        begin++;
        size -= 2;
    }
    char *end;
    long value = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || value < 0 || value > 65535)
        return fail(OUT_INVALID, "%s has no port from 0 to 65535", text);
    snprintf(host, host_room, "%.*s", (int)size, begin);
    *port = (int32_t)value;
    return OUT_OK;
}

static bool in_list(const char *list, const char *name, size_t size)
{
    struct bytes rest = bytes_of(list == NULL ? "" : list), word;
    while (config_list_next(&rest, &word)) {
        if (bytes_equal(word, bytes_view(name, size)))
            return true;
    }
    return false;
}

/* The next listener of a list that clients use: not one of controller.listener.names. */
static bool client_listener(const struct config *c, struct bytes *rest, char *one, size_t room)
{
    struct bytes word;
    const char *controllers = config_text(c, "controller.listener.names", NULL);
    while (config_list_next(rest, &word)) {
        snprintf(one, room, "%.*s", (int)word.size, (const char *)word.at);
        if (word.size > 0 && !in_list(controllers, one, strcspn(one, ":")))
            return true;
    }
    return false;
}

/* A listener that is meant to be encrypted or to ask for a login must not be served without. */
static enum outcome only_plaintext(const struct config *c, const char *name)
{
    char pair[96];
    const char *map = config_text(c, "listener.security.protocol.map", NULL);
    int size = snprintf(pair, sizeof pair, "%s:PLAINTEXT", name);
    if (strcmp(name, "PLAINTEXT") == 0 || in_list(map, pair, (size_t)size))
        return OUT_OK;
    return fail(OUT_UNSUPPORTED, "listener %s: only PLAINTEXT is in this version "
                "(listener.security.protocol.map)", name);
}

static struct config_listener *find(struct config *c, const char *name)
{
    for (int32_t i = 0; i < c->listener_count; i++) {
        if (strcasecmp(c->listeners[i].name, name) == 0)
            return &c->listeners[i];
    }
    return NULL;
}

static enum outcome add(struct config *c, const char *text)
{
    struct config_listener *l = &c->listeners[c->listener_count];
    if (c->listener_count == CONFIG_LISTENERS)
        return fail(OUT_INVALID, "listeners: more than %d for clients", CONFIG_LISTENERS);
    *l = (struct config_listener){.name = "PLAINTEXT"};
    enum outcome o = endpoint(text, l->name, sizeof l->name, l->host, sizeof l->host, &l->port);
    if (o == OUT_OK)
        o = only_plaintext(c, l->name);
    if (o != OUT_OK)
        return o;
    if (find(c, l->name) != NULL)
        return fail(OUT_INVALID, "listeners: two are named %s", l->name);
    bool any = l->host[0] == '\0' || strcmp(l->host, "0.0.0.0") == 0 || strcmp(l->host, "::") == 0;
    snprintf(l->advertised_host, sizeof l->advertised_host, "%s", any ? "localhost" : l->host);
    l->advertised_port = l->port;
    c->listener_count++;
    return OUT_OK;
}

static enum outcome advertise(struct config_listener *l, const char *text)
{
    return endpoint(text, NULL, 0, l->advertised_host, sizeof l->advertised_host,
                    &l->advertised_port);
}

static enum outcome advertise_each(struct config *c, const char *list)
{
    char one[512], name[64];
    enum outcome o = OUT_OK;
    struct bytes rest = bytes_of(list == NULL ? "" : list);
    while (o == OUT_OK && client_listener(c, &rest, one, sizeof one)) {
        const char *at = strstr(one, "://");
        snprintf(name, sizeof name, "%.*s", at == NULL ? 0 : (int)(at - one), one);
        struct config_listener *l = at == NULL ? &c->listeners[0] : find(c, name);
        if (l == NULL)
            return fail(OUT_INVALID, "advertised.listeners: %s is not in listeners", name);
        o = advertise(l, one);
    }
    return o;
}

enum outcome config_settle_listeners(struct config *c)
{
    char one[512];
    enum outcome o = OUT_OK;
    const char *list = config_text(c, "listeners", NULL);
    struct bytes rest = bytes_of(list == NULL ? "" : list);
    c->listener_count = 0;
    while (o == OUT_OK && client_listener(c, &rest, one, sizeof one))
        o = add(c, one);
    if (o == OUT_OK && c->listener_count == 0)
        o = fail(OUT_INVALID, "listeners names no listener for clients");
    if (o != OUT_OK)
        return o;
    const char *advertised = config_text(c, "advertised.listener", NULL);
    if (advertised != NULL)
        return advertise(&c->listeners[0], advertised);
    return advertise_each(c, config_text(c, "advertised.listeners", NULL));
}
