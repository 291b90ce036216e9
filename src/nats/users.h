/* SPDX-License-Identifier: MIT */
/* What a users file becomes: between users.c, which reads it, and auth.c, which judges. */
#ifndef NATS_USERS_H
#define NATS_USERS_H

#include "base/arena.h"
#include "nats/auth.h"

struct nats_users {
    struct arena arena;            /* of everything below */
    struct nats_user *list;
    size_t count;
    struct nats_user token;        /* name "", password the token; NULL: none */
    const struct nats_user *nobody; /* who a client is that says nothing, or NULL */
    bool nkeys;
};

#endif
