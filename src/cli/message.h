/* SPDX-License-Identifier: MIT */
/* Messages out of a command line, and on the screen (private to cli/). */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include "cli/client.h"

/* Bytes that grow; memory of malloc. */
struct cli_bytes {
    uint8_t *at;
    size_t used, room;
};
MUST enum outcome cli_append(struct cli_bytes *b, const void *from, size_t size);

/* A subject without blanks, control bytes or empty words; wildcards when they are allowed.
 * OUT_INVALID with a sentence. */
MUST enum outcome cli_subject(const char *text, bool wildcards);

/* The header block that --header, --ttl and --key make; empty when there are none. */
MUST enum outcome cli_headers(const struct cli_args *a, struct cli_bytes *block);

/* MESSAGE (a word, "-": standard input, NULL: nothing) or --file. */
MUST enum outcome cli_payload(const struct cli_args *a, const char *word, struct cli_bytes *to);

/* One more line of standard input, which is waited for together with the connection: got() is given
 * what comes from the server on the way, and ends it with another outcome than OUT_OK. OUT_END: no
 * more, or a signal. */
struct cli_lines {
    struct cli_bytes in;
    size_t at;
    bool ended;
};
MUST enum outcome cli_line(struct cli_lines *l, struct cli_client *c, struct bytes *line,
                           enum outcome (*got)(void *context, const struct cli_op *op),
                           void *context);

/* How messages are shown. */
struct cli_show {
    bool json, raw, headers_only;
    uint64_t number;
};
/* On standard output. False: nobody reads it any more. */
bool cli_show(struct cli_show *s, const struct cli_op *op, int64_t wall_ms);

/* A subject for replies that nobody else has. */
#define CLI_INBOX 40
void cli_inbox(char text[static CLI_INBOX]);

/* "fluxmq VERB: sentence" on standard error; the exit status. */
int cli_complain(const struct cli_args *a, enum outcome o);

#endif
