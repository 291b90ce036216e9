/* SPDX-License-Identifier: MIT */
/*
 * INFO and CONNECT, the two operations whose argument is JSON. Cold. What INFO says to everyone is
 * made once; a connection's own fields are added behind it.
 */
#include "nats/private.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* Clients look at the version for what a server can do; this says what is served here. */
#define VERSION_CLAIMED "2.10.29"
#define INFO_TAIL_MAX 256
#define ABOUT_MAX 1024
#define NONCE_BYTES 11

enum outcome nats_info_make(struct nats *n)
{
    const struct nats_options *o = &n->options;
    json_t *info = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:b, s:i}", "server_id", n->id, "server_name",
        n->name, "version", VERSION_CLAIMED, "proto", 1, "go", "none", "host", n->host, "port",
        o->port, "headers", 1, "max_payload", o->max_payload);
    if (info != NULL && n->users != NULL)
        json_object_set_new(info, "auth_required", json_true());
    char *text = info == NULL ? NULL : json_dumps(info, JSON_COMPACT);
    json_decref(info);
    if (text == NULL)
        return fail(OUT_NO_MEMORY, "the door's INFO");
    n->info = bytes_view(text, strlen(text) - 1);
    return OUT_OK;
}

/* 15 characters of URL-safe base64 out of 11 random bytes, as nats-server's. */
static void make_nonce(char nonce[static NATS_NONCE_SIZE])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t raw[NONCE_BYTES];
    if (RAND_bytes(raw, sizeof raw) != 1)
        impossible("the system has no randomness");
    for (size_t i = 0; i < NATS_NONCE_SIZE - 1; i++) {
        size_t bit = i * 6, byte = bit / 8;
        unsigned two = (unsigned)raw[byte] << 8 | (byte + 1 < sizeof raw ? raw[byte + 1] : 0);
        nonce[i] = alphabet[two >> (10 - bit % 8) & 63];
    }
    nonce[NATS_NONCE_SIZE - 1] = '\0';
}

void nats_info_send(struct nats_session *s, enum nats_info which)
{
    const struct nats *n = s->home->nats;
    char tail[INFO_TAIL_MAX];
    if (which == NATS_INFO_FIRST && n->users != NULL && nats_users_nkeys(n->users))
        make_nonce(s->nonce);
    int size = snprintf(
        tail, sizeof tail, ",\"client_id\":%llu,\"client_ip\":\"%s\"%s%s%s%s%s} \r\n",
        (unsigned long long)s->cid, s->link->peer, s->nonce[0] == '\0' ? "" : ",\"nonce\":\"",
        s->nonce, s->nonce[0] == '\0' ? "" : "\"",
        which == NATS_INFO_CONNECTED ? ",\"connect_info\":true,\"remote_account\":\"$G\"" : "",
        which == NATS_INFO_LAME_DUCK ? ",\"ldm\":true" : "");
    check(size > 0 && (size_t)size < sizeof tail);
    nats_say(s, bytes_of("INFO "));
    nats_say(s, n->info);
    nats_say(s, bytes_view(tail, (size_t)size));
}

/* ---- CONNECT ---- */

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

struct asked {
    bool verbose, pedantic, echo, headers, no_responders, new_account, tls;
    json_int_t protocol;
    const char *account, *name, *lang, *version;
    struct nats_claim claim;
};

static bool take_fields(const json_t *o, struct asked *a)
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

static bool authenticate(struct nats_session *s, const struct asked *a)
{
    const struct nats_users *users = s->home->nats->users;
    if (a->new_account || (a->account != NULL && a->account[0] != '\0'))
        return false;
    if (users == NULL)
        return true;
    struct nats_claim claim = a->claim;
    claim.nonce = s->nonce;
    s->user = nats_authenticate(users, &claim);
    return s->user != NULL;
}

/* Name, language, version and user in one piece, for people who look. */
static void remember(struct nats_session *s, const struct asked *a)
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

static void settle(struct nats_session *s, const struct asked *a)
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

static void connect_with(struct nats_session *s, const json_t *o)
{
    struct asked a = {.verbose = s->verbose, .pedantic = s->pedantic, .echo = s->echo,
                      .headers = s->headers, .no_responders = s->no_responders,
                      .protocol = s->protocol};
    if (!take_fields(o, &a)) {
        nats_end(s, NULL);
        return;
    }
    if (s->connected) /* again: it may be somebody else from here on */
        nats_subs_clear(s);
    s->authorized = authenticate(s, &a);
    if (!s->authorized) {
        nats_count(s->home, NATS_AUTH_FAILED, 1);
        watch_peer(WATCH_WARN, "nats", "%s:%d is refused: authorization violation",
                   s->link->peer, s->link->peer_port);
        nats_end(s, "Authorization Violation");
        return;
    }
    remember(s, &a);
    settle(s, &a);
}

void nats_connect(struct nats_session *s, struct bytes json)
{
    json_t *o = json_loadb((const char *)json.at, json.size, 0, NULL);
    if (json_is_object(o))
        connect_with(s, o);
    else
        nats_end(s, NULL);
    json_decref(o);
}
