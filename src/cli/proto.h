/* SPDX-License-Identifier: MIT */
/* What a NATS server says, and where it is (private to cli/). */
#ifndef CLI_PROTO_H
#define CLI_PROTO_H

#include "cli/args.h"
#include "base/bytes.h"

#define CLI_LINE_MAX KiB(64)     /* a control line; INFO is the longest */
#define CLI_MESSAGE_MAX MiB(64)

enum cli_kind { CLI_MESSAGE, CLI_PING, CLI_PONG, CLI_OK, CLI_ERROR, CLI_INFO };

/* One operation; views of the bytes it was parsed from. */
struct cli_op {
    enum cli_kind kind;
    struct bytes subject, sid, reply; /* of a message */
    struct bytes headers, payload;    /* headers: the whole block, or size 0 */
    struct bytes text;                /* -ERR: without quotes; INFO: the JSON */
};

/* The operation at the start of `in`; *used is its size. OUT_MORE: it is not there as a whole;
 * OUT_MALFORMED: this is no NATS server. */
MUST enum outcome cli_op_parse(struct bytes in, struct cli_op *op, size_t *used);

/* The status of a header block ("NATS/1.0 503"), 0: none. */
int cli_status(struct bytes headers);
/* The next header line: name and value. *at starts at 0; false: no more. */
bool cli_header_next(struct bytes headers, size_t *at, struct bytes *name, struct bytes *value);

#define CLI_SERVERS_MAX 8

struct cli_server {
    char host[256], port[8];
    char user[128], password[256];    /* "": none */
};

struct cli_servers {
    struct cli_server list[CLI_SERVERS_MAX];
    int count;
};

/* "nats://user:pass@host:port,host,[::1]:4222"; a user without a password is a token, as other
 * clients have it. OUT_INVALID with a sentence. */
MUST enum outcome cli_servers_parse(const char *text, const char *port, struct cli_servers *s);

#endif
