/* SPDX-License-Identifier: MIT */
/* What a NATS server says, cut anywhere; headers; addresses of servers. */
#include "cli/proto.h"

#include "tap.h"

static struct cli_op op;
static size_t used;

static enum outcome parse(const char *text)
{
    return cli_op_parse(bytes_of(text), &op, &used);
}

static void expect_bytes(struct bytes got, const char *expected)
{
    if (got.size != strlen(expected) || memcmp(got.at, expected, got.size) != 0) {
        printf("# \"%.*s\", expected \"%s\"\n", (int)got.size, got.at, expected);
        expect(false);
    }
}

void test_message(void)
{
    expect_eq(parse("MSG a.b 9 5\r\nhello\r\nPING"), OUT_OK);
    expect_eq(op.kind, CLI_MESSAGE);
    expect_eq(used, 20);
    expect_bytes(op.subject, "a.b");
    expect_bytes(op.sid, "9");
    expect_eq(op.reply.size, 0);
    expect_eq(op.headers.size, 0);
    expect_bytes(op.payload, "hello");
    expect_eq(parse("msg  a\t9  r.1   0  \r\n\r\n"), OUT_OK);
    expect_bytes(op.reply, "r.1");
    expect_eq(op.payload.size, 0);
}

void test_message_with_headers(void)
{
    expect_eq(parse("HMSG a 1 r 20 22\r\nNATS/1.0\r\nX: 1 2\r\n\r\nhi\r\n"), OUT_OK);
    expect_eq(op.headers.size, 20);
    expect_bytes(op.payload, "hi");
    expect_bytes(op.reply, "r");
    expect_eq(cli_status(op.headers), 0);
}

void test_the_rest(void)
{
    expect_eq(parse("PING\r\n"), OUT_OK);
    expect_eq(op.kind, CLI_PING);
    expect_eq(parse("PONG\n"), OUT_OK);
    expect_eq(op.kind, CLI_PONG);
    expect_eq(parse("+OK\r\n"), OUT_OK);
    expect_eq(op.kind, CLI_OK);
    expect_eq(parse("INFO {\"a\":1} \r\n"), OUT_OK);
    expect_eq(op.kind, CLI_INFO);
    expect_bytes(op.text, "{\"a\":1}");
    expect_eq(parse("-ERR 'Stale Connection'\r\n"), OUT_OK);
    expect_eq(op.kind, CLI_ERROR);
    expect_bytes(op.text, "Stale Connection");
}

/* At every place where the bytes may be cut, more is asked for, and nothing else. */
void test_every_split(void)
{
    static const char text[] =
        "HMSG a.b.c 12 reply.to 20 25\r\nNATS/1.0\r\nX: 1 2\r\n\r\nhello\r\n";
    size_t size = sizeof text - 1;
    for (size_t cut = 0; cut < size; cut++) {
        char *part = malloc(cut + 1); /* of this very size: reading past it is found */
        memcpy(part, text, cut);
        expect_eq(cli_op_parse(bytes_view(part, cut), &op, &used), OUT_MORE);
        free(part);
    }
    expect_eq(cli_op_parse(bytes_view(text, size), &op, &used), OUT_OK);
    expect_eq(used, size);
}

void test_no_nats_server(void)
{
    static const char *bad[] = {
        "HTTP/1.1 400 Bad Request\r\n", "\r\n", "PINGS\r\n", "MSG a 1\r\n", "MSG a 1 r 5 6\r\n",
        "MSG a 1 -1\r\n", "MSG a 1 1x\r\n", "MSG a 1 9999999999\r\n", "MSG a 1 2\r\nhello\r\n",
        "HMSG a 1 9 8\r\n12345678\r\n", "HMSG a 1 5\r\nhello\r\n", "MSG a 1 999999999\r\n",
        "MSG a b c d e f g 1\r\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (parse(bad[i]) != OUT_MALFORMED) {
            printf("# %s", bad[i]);
            expect(false);
        }
    }
}

void test_a_line_without_end(void)
{
    char *line = malloc(CLI_LINE_MAX);
    memset(line, 'x', CLI_LINE_MAX);
    expect_eq(cli_op_parse(bytes_view(line, CLI_LINE_MAX - 1), &op, &used), OUT_MORE);
    expect_eq(cli_op_parse(bytes_view(line, CLI_LINE_MAX), &op, &used), OUT_MALFORMED);
    free(line);
}

void test_status(void)
{
    expect_eq(cli_status(bytes_of("NATS/1.0 503\r\n\r\n")), 503);
    expect_eq(cli_status(bytes_of("NATS/1.0 404 No Messages\r\n\r\n")), 404);
    expect_eq(cli_status(bytes_of("NATS/1.0\r\nA: 503\r\n\r\n")), 0);
    expect_eq(cli_status(bytes_of("NATS/1.0 50\r\n\r\n")), 0);
    expect_eq(cli_status(bytes_view(NULL, 0)), 0);
}

void test_headers(void)
{
    struct bytes block = bytes_of("NATS/1.0\r\nA: 1\r\nB:2 \r\nno colon\r\nC:\r\nA: x: y\r\n\r\n");
    struct bytes name, value;
    size_t at = 0;
    static const char *expected[][2] = {{"A", "1"}, {"B", "2"}, {"C", ""}, {"A", "x: y"}};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        expect(cli_header_next(block, &at, &name, &value));
        expect_bytes(name, expected[i][0]);
        expect_bytes(value, expected[i][1]);
    }
    expect(!cli_header_next(block, &at, &name, &value));
    at = 0;
    expect(!cli_header_next(bytes_view(NULL, 0), &at, &name, &value));
}

void test_servers(void)
{
    struct cli_servers s;
    expect_eq(cli_servers_parse("nats://me:pa:ss@h.example:42/,other,[::1]:7,[fe80::1]", "4222",
                                &s), OUT_OK);
    expect_eq(s.count, 4);
    expect_str(s.list[0].host, "h.example");
    expect_str(s.list[0].port, "42");
    expect_str(s.list[0].user, "me");
    expect_str(s.list[0].password, "pa:ss");
    expect_str(s.list[1].host, "other");
    expect_str(s.list[1].port, "4222");
    expect_str(s.list[1].user, "");
    expect_str(s.list[2].host, "::1");
    expect_str(s.list[2].port, "7");
    expect_str(s.list[3].host, "fe80::1");
    expect_str(s.list[3].port, "4222");
    expect_eq(cli_servers_parse("token@h", "1", &s), OUT_OK);
    expect_str(s.list[0].user, "token");
    expect_str(s.list[0].password, "");
}

void test_no_servers(void)
{
    static const char *bad[] = {"", "h:", "h:x", "h:123456", ":5", "a,,b", "[::1", "[::1]x",
                                "tls://h", "ws://h:1", "a,b,c,d,e,f,g,h,i"};
    struct cli_servers s;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (cli_servers_parse(bad[i], "1", &s) != OUT_INVALID) {
            printf("# %s\n", bad[i]);
            expect(false);
        }
    }
    char host[400];
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    expect_eq(cli_servers_parse(host, "1", &s), OUT_INVALID);
}
