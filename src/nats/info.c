/* SPDX-License-Identifier: MIT */
/*
 * INFO. Cold. What it says to everyone is made once; a connection's own fields are added behind it.
 */
#include "nats/private.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define INFO_TAIL_MAX 256
#define NONCE_BYTES 11

enum outcome nats_info_make(struct nats *n)
{
    const struct nats_options *o = &n->options;
    json_t *info = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:b, s:i}", "server_id", n->id, "server_name",
        n->name, "version", NATS_VERSION, "proto", 1, "go", "none", "host", n->host, "port",
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
