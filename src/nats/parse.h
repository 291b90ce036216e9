/* SPDX-License-Identifier: MIT */
/*
 * The parser: bytes received -> one operation. Pure: it keeps nothing between calls. What is not
 * whole yet comes again, with more behind it.
 */
#ifndef NATS_PARSE_H
#define NATS_PARSE_H

#include "base/bytes.h"

enum nats_verb {
    NATS_CONNECT, NATS_PING, NATS_PONG, NATS_PUB, NATS_HPUB, NATS_SUB, NATS_UNSUB,
    NATS_INFO, NATS_OK, NATS_ERR, /* clients have no reason to send these; ignored */
};

enum nats_parsed {
    NATS_PARSED,
    NATS_MORE,           /* not whole: *want bytes at the least, 0: any */
    NATS_UNKNOWN,        /* no operation of the protocol */
    NATS_BROKEN,         /* arguments that can't be: the connection ends without a word */
    NATS_LINE_TOO_LONG,
    NATS_PAYLOAD_TOO_LARGE,
};

struct nats_limits {
    size_t control_line, payload;
};

/* One operation; views into what was given. */
struct nats_op {
    enum nats_verb verb;
    struct bytes argument;                    /* of CONNECT */
    struct bytes subject, reply, queue, sid;  /* size 0: none */
    struct bytes headers, payload;
    int64_t max;                              /* of UNSUB; 0: none */
    bool again;                               /* nats_parse_quick: the subject is `last` */
};

/* With NATS_PARSED *used is the operation's size, payload included. */
enum nats_parsed nats_parse(struct bytes in, const struct nats_limits *limits, struct nats_op *op,
                            size_t *used, size_t *want);

/* The same for what comes most: a PUB or HPUB as clients write it, all of it there. Looks first
 * whether its subject is `last` (size 0: none). False: nats_parse says what it is. */
bool nats_parse_quick(struct bytes in, const struct nats_limits *limits, struct bytes last,
                      struct nats_op *op, size_t *used);

#endif
