/* SPDX-License-Identifier: MIT */
/*
 * Passwords that are kept as bcrypt hashes take a tenth of a second to check: one thread does that,
 * so that no reactor stands still. A connection waits for it without being read.
 */
#ifndef NATS_CHECK_H
#define NATS_CHECK_H

#include "nats/connect.h"

#include <jansson.h>

/* Starts when there is a hash among the users. */
MUST enum outcome nats_checker_start(struct nats *n);
void nats_checker_stop(struct nats *n);

/* Has the claim checked; then nats_connect_with runs with the answer, unless the session is gone.
 * Takes a count of `json`, which the claim's texts are in. False: out of memory. */
MUST bool nats_check_begin(struct nats_session *s, json_t *json, const struct nats_asked *asked);
/* The session goes away. */
void nats_check_forget(struct nats_session *s);

#endif
