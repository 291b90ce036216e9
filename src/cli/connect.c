/* SPDX-License-Identifier: MIT */
/* Coming in: INFO, CONNECT, and who we are; again after a loss. */
#include "cli/client.h"

#include "os/os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_FIRST_MS 100
#define AGAIN_MOST_MS 2000

static const char *given(const char *option, const char *of_url)
{
    return option != NULL && option[0] != '\0' ? option : of_url[0] != '\0' ? of_url : NULL;
}

static enum outcome identify(struct cli_client *c)
{
    const struct cli_server *s = &c->servers.list[c->at];
    const char *user = given(c->user, s->user), *password = given(c->password, s->password);
    const char *token = given(c->token, "");
    if (token == NULL && user != NULL && password == NULL) { /* nats://TOKEN@HOST */
        token = user;
        user = NULL;
    }
    json_t *o = json_pack("{s:b, s:b, s:b, s:b, s:i, s:s, s:s, s:s, s:s*, s:s*, s:s*}",
                          "verbose", 0, "pedantic", 0, "headers", 1, "no_responders", 1,
                          "protocol", 1, "name", c->name, "lang", "fluxmq", "version",
                          FLUXMQ_VERSION, "user", token == NULL ? user : NULL, "pass",
                          token == NULL ? password : NULL, "auth_token", token);
    char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text == NULL)
        return cli_fail(OUT_INVALID, "user, password and token have to be UTF-8");
    enum outcome out = cli_print(c, "CONNECT %s\r\nPING\r\n", text);
    free(text);
    return out == OUT_OK ? cli_flush(c) : out;
}

/* Whether it is about who we are: then trying again is of no use. */
static bool turned_away(const struct cli_client *c)
{
    return strcasestr(c->refused, "authorization") != NULL ||
           strcasestr(c->refused, "authentication") != NULL;
}

static enum outcome shake_hands(struct cli_client *c)
{
    const struct cli_server *s = &c->servers.list[c->at];
    int64_t deadline = os_now_ns() + CLI_CONNECT_MS * 1000000ll;
    struct cli_op op = {0};
    enum outcome o = cli_next(c, deadline, -1, &op);
    if (o == OUT_OK && op.kind == CLI_INFO)
        o = identify(c);
    else if (o == OUT_OK)
        return cli_fail(OUT_MALFORMED, "%s:%s does not speak the NATS protocol", s->host, s->port);
    while (o == OUT_OK && op.kind != CLI_PONG)
        o = cli_next(c, deadline, -1, &op);
    if (o == OUT_TIMED_OUT)
        return cli_fail(o, "%s:%s does not answer as a NATS server would", s->host, s->port);
    if (o != OUT_OK && turned_away(c))
        return cli_fail(OUT_NO_ACCESS,
                        "%s:%s turns us away: %s (--user and --password, or --token)",
                    s->host, s->port, c->refused);
    return o;
}

static enum outcome connect_one(struct cli_client *c)
{
    c->in_at = c->in_used = c->out_used = c->taken = 0;
    c->refused[0] = '\0';
    enum outcome o = cli_dial(&c->servers.list[c->at], &c->fd);
    if (o == OUT_OK)
        o = shake_hands(c);
    if (o != OUT_OK) {
        os_close(c->fd);
        c->fd = -1;
    }
    return o;
}

enum outcome cli_connect(struct cli_client *c)
{
    enum outcome o = OUT_CLOSED;
    for (int i = 0; i < c->servers.count && !cli_stopped(); i++) {
        o = connect_one(c);
        if (o == OUT_OK || o == OUT_END)
            return o;
        c->at = (c->at + 1) % c->servers.count;
    }
    return cli_stopped() ? OUT_END : o;
}

enum outcome cli_reconnect(struct cli_client *c)
{
    for (int64_t wait = AGAIN_FIRST_MS; !cli_stopped(); wait = MIN(wait * 2, AGAIN_MOST_MS)) {
        enum outcome o = cli_connect(c);
        if (o == OUT_OK || o == OUT_END || o == OUT_NO_ACCESS)
            return o;
        cli_pause(wait);
    }
    return OUT_END;
}
