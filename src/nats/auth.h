/* SPDX-License-Identifier: MIT */
/*
 * Who may connect and what they may do: the users file, the ways to identify oneself, the subjects
 * a user may publish and subscribe to. A `struct nats_users` is immutable; any thread reads it.
 */
#ifndef NATS_AUTH_H
#define NATS_AUTH_H

#include "base/bytes.h"
#include "base/outcome.h"

/* One entry of a list: a subject and, of subscriptions, a queue's name (size 0: none). Both may
 * hold wildcards. */
struct nats_rule {
    struct bytes subject, queue;
};

struct nats_rules {
    const struct nats_rule *list;
    size_t count;
    bool given; /* an empty list that was given allows nothing */
};

struct nats_permissions {
    struct nats_rules publish_allow, publish_deny, subscribe_allow, subscribe_deny;
    int64_t replies_max;        /* answers to each request it got; 0: none, -1: any number */
    int64_t replies_ms;         /* for how long; 0: without end */
};

struct nats_user {
    char *name;                 /* user, or public nkey; "": that of the token */
    char *password;             /* or NULL */
    bool nkey;
    const struct nats_permissions *permissions; /* NULL: everything */
};

struct nats_users;

/* What a client says of itself; NULL: nothing. */
struct nats_claim {
    const char *user, *password, *token, *nkey, *signature, *nonce;
};

/* The trail says what is wrong with the file. */
MUST enum outcome nats_users_load(const char *path, struct nats_users **users);
MUST enum outcome nats_users_parse(struct bytes json, struct nats_users **users);
void nats_users_free(struct nats_users *users);
bool nats_users_nkeys(const struct nats_users *users); /* a nonce is needed */
/* Who a client is that says nothing; NULL: it may not. */
const struct nats_user *nats_users_nobody(const struct nats_users *users);
bool nats_users_hashed(const struct nats_users *users); /* some passwords are bcrypt hashes */
/* Whether the claim is to be compared with a hash, which takes its time. */
bool nats_authenticate_slow(const struct nats_users *users, const struct nats_claim *claim);
/* NULL: refused. Any thread. */
const struct nats_user *nats_authenticate(const struct nats_users *users,
                                          const struct nats_claim *claim);

bool nats_may_publish(const struct nats_permissions *p, struct bytes subject);
bool nats_may_subscribe(const struct nats_permissions *p, struct bytes subject,
                        struct bytes queue);
/* Whether subjects under this (allowed) pattern are denied, one by one. */
bool nats_may_partly(const struct nats_permissions *p, struct bytes pattern);
bool nats_may_receive(const struct nats_permissions *p, struct bytes subject);

/* ---- allow_responses ---- */

struct nats_replies;
/* The client got a request: it may answer. Bounded; the oldest are forgotten. */
void nats_reply_allow(struct nats_replies **replies, const struct nats_permissions *p,
                      struct bytes reply, int64_t wall_ms);
bool nats_reply_use(struct nats_replies *replies, struct bytes subject, int64_t wall_ms);
void nats_replies_free(struct nats_replies *replies);

/* ---- nkeys ---- */

#define NATS_KEY_BYTES 32
/* The Ed25519 key behind a user's public nkey ("U..."). */
MUST bool nats_key_decode(const char *text, uint8_t key[static NATS_KEY_BYTES]);
/* Role prefix ('N': a server) and key as text: 56 characters and a NUL. */
void nats_key_encode(char role, const uint8_t key[static NATS_KEY_BYTES], char text[static 57]);
/* Whether `signature` (base64, either alphabet, with or without padding) signs the nonce. */
MUST bool nats_key_verify(const uint8_t key[static NATS_KEY_BYTES], const char *nonce,
                          const char *signature);

#endif
