/* SPDX-License-Identifier: MIT */
/*
 * A small NATS client for one thread that waits (private to cli/): one connection, everything
 * bounded in time. Failures come with a sentence for the user, in the trail.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/args.h"
#include "cli/proto.h"

#define CLI_CONNECT_MS 5000
#define CLI_FLUSH_MS 60000     /* without any progress */
#define CLI_NEVER (-1)

struct cli_client {
    struct cli_servers servers;
    const char *user, *password, *token; /* NULL: as the URL says */
    const char *name;          /* as the server is told */
    int fd;                    /* -1: not connected */
    int at;                    /* the server, of the list */
    size_t max_payload;
    bool headers;              /* the server takes them */
    char refused[256];         /* the last -ERR; "" none */
    uint8_t *in, *out;
    size_t in_at, in_used, in_room, out_used, out_room, taken;
};

/* From the options --server, --user ... or the environment. */
MUST enum outcome cli_client_init(const struct cli_args *a, struct cli_client *c);
void cli_client_fini(struct cli_client *c);

/* Connects to one server of the list, from the current one on, and identifies. */
MUST enum outcome cli_connect(struct cli_client *c);
/* Connects again after a loss, until it is done; OUT_END: stopped by a signal. */
MUST enum outcome cli_reconnect(struct cli_client *c);

/* Queues bytes, sends when much is queued. OUT_CLOSED, OUT_TIMED_OUT, OUT_END. */
MUST enum outcome cli_write(struct cli_client *c, struct bytes b);
MUST enum outcome cli_print(struct cli_client *c, const char *format, ...) PRINTF(2, 3);
MUST enum outcome cli_flush(struct cli_client *c);

/* The next operation that is not a PING (those are answered); its views are good until the next
 * call. `also`: a descriptor that ends the wait when it can be read (OUT_AGAIN), or -1.
 * OUT_TIMED_OUT at the deadline (os_now_ns, or CLI_NEVER), OUT_CLOSED, OUT_END: a signal. */
MUST enum outcome cli_next(struct cli_client *c, int64_t deadline_ns, int also, struct cli_op *op);

/* Waits until the server has served all that was sent. A refusal on the way is OUT_INVALID. */
MUST enum outcome cli_barrier(struct cli_client *c);

struct cli_message {
    struct bytes subject, reply, headers, payload; /* headers: a whole block, or size 0 */
};
/* OUT_TOO_LARGE with the sentence when the server does not take that much. */
MUST enum outcome cli_publish(struct cli_client *c, const struct cli_message *m);

/* A connected socket, by a deadline of CLI_CONNECT_MS. */
MUST enum outcome cli_dial(const struct cli_server *s, int *fd);

/* ---- signals ---- */

/* SIGINT and SIGTERM end waits from here on. */
void cli_signals(void);
bool cli_stopped(void);
/* Waits; cut short by a signal. */
void cli_pause(int64_t ms);

#endif
