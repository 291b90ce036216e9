/* SPDX-License-Identifier: MIT */
/* What a CONNECT asks for; views into its JSON. */
#ifndef NATS_CONNECT_H
#define NATS_CONNECT_H

#include "nats/private.h"

struct nats_asked {
    bool verbose, pedantic, echo, headers, no_responders, new_account, tls;
    int64_t protocol;
    const char *account, *name, *lang, *version;
    struct nats_claim claim;
};

/* The claim is judged: `user` is who it is, NULL: nobody. */
void nats_connect_with(struct nats_session *s, const struct nats_asked *a,
                       const struct nats_user *user);

#endif
