/* SPDX-License-Identifier: MIT */
/*
 * CONNECT: its JSON, who the client is, what holds for the connection from here on. Cold. A hashed
 * password is checked on another thread (check.c); the answer comes in at nats_connect_with.
 */
#include "nats/check.h"

#include <stdlib.h>

#define ABOUT_MAX 1024

/* False: it is there and no boolean. */
static bool take_flag(const json_t *o, const char *name, bool *flag)
{
    const json_t *v = json_object_get(o, name);
    if (v == NULL || json_is_null(v))
        return true;
    *flag = json_is_true(v);
    return json_is_boolean(v);
}

static bool take_text(const json_t *o, const char *name, const char **text)
{
    const json_t *v = json_object_get(o, name);
    *text = NULL;
    if (v == NULL || json_is_null(v))
        return true;
    *text = json_string_value(v);
    return json_is_string(v);
}

static bool take_fields(const json_t *o, struct nats_asked *a)
{
    const char *jwt;
    const json_t *protocol = json_object_get(o, "protocol");
    if (protocol != NULL && !json_is_null(protocol)) {
        if (!json_is_integer(protocol))
            return false;
        a->protocol = json_integer_value(protocol);
    }
    return take_flag(o, "verbose", &a->verbose) && take_flag(o, "pedantic", &a->pedantic) &&
           take_flag(o, "echo", &a->echo) && take_flag(o, "headers", &a->headers) &&
           take_flag(o, "no_responders", &a->no_responders) &&
           take_flag(o, "tls_required", &a->tls) &&
           take_flag(o, "new_account", &a->new_account) &&
           take_text(o, "account", &a->account) && take_text(o, "name", &a->name) &&
           take_text(o, "lang", &a->lang) && take_text(o, "version", &a->version) &&
           take_text(o, "user", &a->claim.user) && take_text(o, "pass", &a->claim.password) &&
           take_text(o, "auth_token", &a->claim.token) &&
           take_text(o, "nkey", &a->claim.nkey) && take_text(o, "sig", &a->claim.signature) &&
           take_text(o, "jwt", &jwt);
}

/* Name, language, version and user in one piece, for people who look. */
static void remember(struct nats_session *s, const struct nats_asked *a)
{
    const char *user = s->user != NULL ? s->user->name : a->claim.user;
    const char *parts[] = {a->name, a->lang, a->version, user};
    size_t sizes[4], total = 0;
    for (int i = 0; i < 4; i++) {
        sizes[i] = parts[i] == NULL ? 0 : strnlen(parts[i], ABOUT_MAX);
        total += sizes[i] + 1;
    }
    char *about = total == 4 ? NULL : calloc(1, total);
    free(s->about);
    s->about = about;
    for (int i = 0; i < 4 && about != NULL; i++) {
        memcpy(about, parts[i] == NULL ? "" : parts[i], sizes[i]);
        about += sizes[i] + 1;
    }
}

static void settle(struct nats_session *s, const struct nats_asked *a)
{
    s->verbose = a->verbose;
    s->pedantic = a->pedantic;
    s->echo = a->echo;
    s->headers = a->headers;
    s->no_responders = a->no_responders;
    s->protocol = (uint8_t)(a->protocol > 0 ? 1 : 0);
    if (a->protocol < 0 || a->protocol > 1) {
        nats_end(s, "invalid client protocol");
        return;
    }
    if (a->no_responders && !a->headers) {
        nats_end(s, "no responders requires headers support");
        return;
    }
    s->connected = true;
    if (s->verbose)
        nats_say(s, bytes_of("+OK\r\n"));
    nats_first_ping(s);
}

void nats_connect_with(struct nats_session *s, const struct nats_asked *a,
                       const struct nats_user *user)
{
    s->user = user;
    if (s->last != NULL)
        s->last->size = 0; /* what was pedantic enough may not be so any more */
    s->authorized = s->home->nats->users == NULL || user != NULL;
    if (a->new_account || (a->account != NULL && a->account[0] != '\0'))
        s->authorized = false; /* there are no accounts to choose from */
    if (!s->authorized) {
        nats_count(s->home, NATS_AUTH_FAILED, 1);
        watch_peer(WATCH_WARN, "nats", "%s:%d is refused: authorization violation",
                   s->link->peer, s->link->peer_port);
        nats_end(s, "Authorization Violation");
        return;
    }
    remember(s, a);
    settle(s, a);
}

static void take(struct nats_session *s, json_t *o)
{
    const struct nats_users *users = s->home->nats->users;
    struct nats_asked a = {.verbose = s->verbose, .pedantic = s->pedantic, .echo = s->echo,
                           .headers = s->headers, .no_responders = s->no_responders,
                           .protocol = s->protocol};
    if (!take_fields(o, &a)) {
        nats_end(s, NULL);
        return;
    }
    a.claim.nonce = s->nonce;
    if (s->connected) /* again: it may be somebody else from here on */
        nats_subs_clear(s);
    if (users == NULL)
        nats_connect_with(s, &a, NULL);
    else if (!nats_authenticate_slow(users, &a.claim))
        nats_connect_with(s, &a, nats_authenticate(users, &a.claim));
    else if (!nats_check_begin(s, o, &a))
        nats_end(s, NULL);
}

void nats_connect(struct nats_session *s, struct bytes json)
{
    json_t *o = json_loadb((const char *)json.at, json.size, 0, NULL);
    if (json_is_object(o))
        take(s, o);
    else
        nats_end(s, NULL);
    json_decref(o);
}
