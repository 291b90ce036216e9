/* SPDX-License-Identifier: MIT */
/* The parser: what is an operation, what is refused and when, at every split. */
#include "nats/parse.h"
#include "tap.h"

#include <stdlib.h>

static const struct nats_limits limits = {.control_line = 64, .payload = 100};

static enum nats_parsed parse(const char *text, struct nats_op *op, size_t *used, size_t *want)
{
    *used = *want = 0;
    return nats_parse(bytes_of(text), &limits, op, used, want);
}

static enum nats_parsed kind(const char *text)
{
    struct nats_op op;
    size_t used, want;
    return parse(text, &op, &used, &want);
}

static struct nats_op one(const char *text)
{
    struct nats_op op;
    size_t used, want;
    expect_eq(parse(text, &op, &used, &want), NATS_PARSED);
    expect_eq(used, strlen(text));
    expect_eq(want, 0);
    return op;
}

void test_operations(void)
{
    struct nats_op op = one("PUB foo 5\r\nhello\r\n");
    expect(op.verb == NATS_PUB && bytes_is(op.subject, "foo") && op.reply.size == 0);
    expect(bytes_is(op.payload, "hello") && op.headers.size == 0);
    op = one("pub\tfoo.bar  INBOX.22 \t11\r\nHello NATS!\r\n");
    expect(bytes_is(op.subject, "foo.bar") && bytes_is(op.reply, "INBOX.22"));
    expect(bytes_is(op.payload, "Hello NATS!"));
    op = one("PUB e 0\r\n\r\n");
    expect(op.payload.size == 0);
    op = one("HPUB FOO BAR 22 33\r\nNATS/1.0\r\nBar: Baz\r\n\r\nHello NATS!\r\n");
    expect(op.verb == NATS_HPUB && bytes_is(op.reply, "BAR"));
    expect(bytes_is(op.headers, "NATS/1.0\r\nBar: Baz\r\n\r\n"));
    expect(bytes_is(op.payload, "Hello NATS!"));
    op = one("hPub FOO 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    expect(op.headers.size == 12 && op.payload.size == 0);
    op = one("SUB foo 1\r\n");
    expect(op.verb == NATS_SUB && op.queue.size == 0 && bytes_is(op.sid, "1"));
    op = one("SUB foo.* workers sid-x\n");
    expect(bytes_is(op.queue, "workers") && bytes_is(op.sid, "sid-x"));
    op = one("UNSUB 1\r\n");
    expect(op.verb == NATS_UNSUB && op.max == 0);
    expect_eq(one("Unsub 1 999999999\r\n").max, 999999999);
    expect_eq(one("UNSUB 1 -5\r\n").max, 0);
    expect(one("PING\r\n").verb == NATS_PING && one("ping \r\n").verb == NATS_PING);
    expect(one("PONG\n").verb == NATS_PONG && one("+OK\r\n").verb == NATS_OK);
    expect(one("-ERR 'x'\r\n").verb == NATS_ERR && one("INFO {}\r\n").verb == NATS_INFO);
    op = one("CONNECT  {\"a\": 1}\r\n");
    expect(op.verb == NATS_CONNECT && bytes_is(op.argument, "{\"a\": 1}"));
    expect(bytes_is(one("CONNECT{}\r\n").argument, "{}"));
}

void test_unknown_is_told_at_the_first_wrong_byte(void)
{
    const char *const wrong[] = {"X", "PX", "PUX", "PUBS foo 2", "PUB\r\n", "SUBZZZ foo 1", "SUX",
                                 "HPUC", "UNSUBS", "POX", "CONNECX", "-ERRX", "GET / HTTP/1.1",
                                 "\r\n", "MSG a 1 1\r\n", "RMSG", "PUB a 1\r\nab", "+OX",
                                 "PUB a 1\r\na\rX", "PUB a 5\r\nhello\n"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        expect_eq(kind(wrong[i]), NATS_UNKNOWN);
}

void test_arguments_that_cannot_be(void)
{
    const char *const wrong[] = {
        "PUB \r\n", "PUB foo\r\n", "PUB foo bar 1 2\r\n", "PUB foo bar baz 1 2\r\n",
        "PUB foo x\r\n", "PUB foo -1\r\n", "PUB foo 1234567890\r\n", "PUB foo 0000000001\r\n",
        "HPUB foo 12\r\n", "HPUB foo 13 12\r\n", "HPUB foo a 12\r\n", "HPUB foo a b 12 13 14\r\n",
        "SUB foo\r\n", "SUB a b c d\r\n", "SUB \r\n", "UNSUB \r\n", "UNSUB 1 2 3\r\n"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        expect_eq(kind(wrong[i]), NATS_BROKEN);
}

void test_limits(void)
{
    char line[200];
    expect_eq(kind("PUB foo 101\r\n"), NATS_PAYLOAD_TOO_LARGE);
    expect_eq(kind("HPUB foo 12 101\r\n"), NATS_PAYLOAD_TOO_LARGE);
    expect_eq(kind("PUB foo 100\r\n"), NATS_MORE);
    memset(line, 'a', sizeof line);
    memcpy(line, "PUB ", 4);
    line[4 + 64] = '\0'; /* as long as it may be, and more may come */
    expect_eq(kind(line), NATS_MORE);
    memset(line + 4, 'a', 66);
    line[4 + 66] = '\0'; /* neither a CR nor an LF ends it in time */
    expect_eq(kind(line), NATS_LINE_TOO_LONG);
    memcpy(line + 4 + 65, "\r\n", 3);
    expect_eq(kind(line), NATS_LINE_TOO_LONG);
    memset(line + 4, 'b', 62);
    memcpy(line + 4 + 62, " 1\r\n", 5); /* 64 bytes of argument */
    expect_eq(kind(line), NATS_MORE);
    memset(line, ' ', sizeof line);
    memcpy(line, "SUB", 3);
    line[199] = '\0';
    expect_eq(kind(line), NATS_LINE_TOO_LONG);
    memset(line, 'x', sizeof line);
    memcpy(line, "PING", 4);
    line[199] = '\0';
    expect_eq(kind(line), NATS_LINE_TOO_LONG);
}

/* Parses `stream` given in two parts as net/ would, and prints what came out. */
static void in_two(const char *stream, size_t cut, char *printed, size_t room)
{
    size_t at = 0, end = cut, want = 0, total = strlen(stream), out = 0;
    while (at < total) {
        struct nats_op op;
        size_t used = 0;
        if (end - at >= want) {
            enum nats_parsed p = nats_parse(bytes_view(stream + at, end - at), &limits, &op,
                                            &used, &want);
            expect(p == NATS_PARSED || (p == NATS_MORE && end < total));
            if (p == NATS_PARSED) {
                out += (size_t)snprintf(
                    printed + out, room - out, "%d|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%lld;", op.verb,
                    (int)op.subject.size, op.subject.at, (int)op.reply.size, op.reply.at,
                    (int)op.queue.size, op.queue.at, (int)op.sid.size, op.sid.at,
                    (int)op.headers.size, op.headers.at, (int)op.payload.size, op.payload.at,
                    (long long)op.max);
                at += used;
                want = 0;
                continue;
            }
            expect(want == 0 || want <= total - at);
        }
        expect(end < total);
        end = total;
    }
}

void test_every_split(void)
{
    static const char stream[] =
        "CONNECT {\"verbose\":false}\r\nPING\r\nSUB foo.* q 1\r\nSUB bar 22\nUNSUB 22 7\r\n"
        "PUB foo.a r.1 11\r\nhello\r\nPING\r\nHPUB foo 14 18\r\nNATS/1.0\r\nA:\r\nbody\r\n"
        "PUB x 0\r\n\r\nPONG\r\nunsub 1\r\n+OK\r\n";
    char whole[2000], parts[2000];
    in_two(stream, sizeof stream - 1, whole, sizeof whole);
    for (size_t cut = 0; cut < sizeof stream - 1; cut++) {
        in_two(stream, cut, parts, sizeof parts);
        expect(strcmp(whole, parts) == 0);
    }
}

void test_wants_the_whole_payload_at_once(void)
{
    struct nats_op op;
    size_t used, want;
    expect_eq(parse("PUB foo 50\r\nabc", &op, &used, &want), NATS_MORE);
    expect_eq(want, 12 + 51); /* one more than the payload shows what ends it */
    expect_eq(parse("PUB foo 3\r\nabc\r", &op, &used, &want), NATS_MORE);
    expect_eq(want, 11 + 5);
    expect_eq(parse("PUB foo 3", &op, &used, &want), NATS_MORE);
    expect_eq(want, 0);
}

/* What the quick way says, nats_parse says too; and what it leaves to nats_parse, cut or not. */
static bool quick_agrees(const char *text, size_t size, struct bytes last)
{
    struct nats_op a = {0}, b = {0};
    size_t used_a = 0, used_b = 0, want = 0;
    uint8_t *exact = malloc(size + 1); /* so that a byte too far is seen by the sanitizer */
    memcpy(exact, text, size);
    exact = realloc(exact, size == 0 ? 1 : size);
    struct bytes in = {exact, size};
    bool quick = nats_parse_quick(in, &limits, last, &a, &used_a);
    enum nats_parsed long_way = nats_parse(in, &limits, &b, &used_b, &want);
    if (quick) {
        expect_eq(long_way, NATS_PARSED);
        expect(a.verb == b.verb && used_a == used_b);
        expect(a.subject.at == b.subject.at && a.subject.size == b.subject.size);
        expect(a.reply.size == b.reply.size);
        expect(a.reply.size == 0 || a.reply.at == b.reply.at);
        expect(a.headers.size == b.headers.size && a.payload.at == b.payload.at);
        expect(a.payload.size == b.payload.size);
        expect_eq(a.again, bytes_equal(a.subject, last));
    }
    free(exact);
    return quick;
}

void test_the_quick_way_agrees(void)
{
    static const char *const taken[] = {
        "PUB foo 5\r\nhello\r\n", "PUB foo 0\r\n\r\n", "PUB foo 05\r\nhello\r\nPUB",
        "PUB foo 3 5\r\nhello\r\n", "PUB foo a.b 5\r\nhello\r\n",
        "PUB foo.b 1\r\na\r\nPING\r\n", "HPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        "HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"};
    static const char *const left[] = {
        "PUB  foo 5\r\nhello\r\n", "pub foo 5\r\nhello\r\n", "PUB foo 5 \r\nhello\r\n",
        "PUB foo\t5\r\nhello\r\n", "PUB foo 5\nhello\r\n", "PUB foo 5\r\nhello\rX",
        "PUB foo -5\r\nhello\r\n", "PUB foo 0000000005\r\nhello\r\n",
        "PUB foo 5x\r\nhello\r\n", "PUB foo 101\r\nhello\r\n", "PUB foo a b 5\r\nhello\r\n",
        "HPUB foo 13 12\r\nNATS/1.0\r\n\r\n\r\n", "HPUB foo 12\r\nNATS/1.0\r\n\r\n\r\n",
        "PUB f\ro 5\r\nhello\r\n", "PUB  5\r\nhello\r\n", "PUB foo 5\r\nhello!\r\n", "PING\r\n",
        "SUB foo 12345678\r\n", "PUBS foo 5\r\nhello\r\n",
        "PUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 5\r\nhello\r\n"};
    struct bytes lasts[] = {{0}, bytes_of("foo"), bytes_of("fo"), bytes_of("foo.b")};
    for (size_t l = 0; l < COUNT_OF(lasts); l++) {
        for (size_t i = 0; i < COUNT_OF(taken); i++) {
            size_t size = strlen(taken[i]);
            expect(quick_agrees(taken[i], size, lasts[l]));
            for (size_t cut = 0; cut < size; cut++)
                (void)quick_agrees(taken[i], cut, lasts[l]);
        }
        for (size_t i = 0; i < COUNT_OF(left); i++)
            for (size_t cut = 0; cut <= strlen(left[i]); cut++)
                expect(!quick_agrees(left[i], cut, lasts[l]));
    }
}

/* Any bytes put together of what the protocol is made of. */
void test_the_quick_way_agrees_on_anything(void)
{
    static const char *const parts[] = {
        "5\r\nhello\r\n", "PUB ", "foo", "foo.b ", " ", "\t", "5", "12 ", "\n", "hello", "\r",
        "HPUB ", "NATS/1.0\r\n\r\n", "5\r\n", "0", "  "};
    uint32_t random = 1, quick = 0;
    for (int round = 0; round < 200000; round++) {
        char text[160] = "PUB foo ";
        size_t size = round % 2 == 0 ? 8 : 0;
        for (int i = 0; i < 7; i++) {
            random = random * 1664525u + 1013904223u;
            const char *part = parts[(random >> 16) % COUNT_OF(parts)];
            memcpy(text + size, part, strlen(part));
            size += strlen(part);
        }
        quick += quick_agrees(text, size, bytes_of("foo"));
    }
    expect(quick > 100);
}
