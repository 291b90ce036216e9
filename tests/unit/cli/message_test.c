/* SPDX-License-Identifier: MIT */
/* Subjects, and the header block that options make. */
#include "cli/message.h"

#include "tap.h"

static struct cli_args a;

void test_subjects(void)
{
    static const char *good[] = {"a", "a.b.c", "_INBOX.x-1", "$JS.API", "a*b.c>", "\xc3\xa4.b"};
    static const char *bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nPUB", "a\x7f"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        expect_eq(cli_subject(good[i], false), OUT_OK);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect_eq(cli_subject(bad[i], true), OUT_INVALID);
    expect_eq(cli_subject("a.*.c", false), OUT_INVALID);
    expect_eq(cli_subject("a.*.c", true), OUT_OK);
    expect_eq(cli_subject(">", false), OUT_INVALID);
    expect_eq(cli_subject("a.>", true), OUT_OK);
    expect_eq(cli_subject("a.>.b", true), OUT_INVALID);
}

void test_no_headers(void)
{
    struct cli_bytes b = {0};
    expect_eq(cli_headers(&a, &b), OUT_OK);
    expect_eq(b.used, 0);
}

void test_headers(void)
{
    static const char expected[] =
        "NATS/1.0\r\nA: 1\r\nB: x: y\r\nA: \r\nNats-TTL: 1m30s\r\nKafka-Key: k 1\r\n\r\n";
    struct cli_bytes b = {0};
    a.headers[a.header_count++] = "A:1";
    a.headers[a.header_count++] = "B:  x: y";
    a.headers[a.header_count++] = "A:";
    a.values[CLI_ttl] = "1m30s";
    a.values[CLI_key] = "k 1";
    expect_eq(cli_headers(&a, &b), OUT_OK);
    expect_eq(b.used, sizeof expected - 1);
    expect(memcmp(b.at, expected, b.used) == 0);
    free(b.at);
}

static void expect_refused(const char *header, const char *ttl)
{
    struct cli_bytes b = {0};
    a = (struct cli_args){.headers = {header}, .header_count = header != NULL};
    a.values[CLI_ttl] = ttl;
    expect_eq(cli_headers(&a, &b), OUT_INVALID);
    free(b.at);
}

void test_headers_refused(void)
{
    expect_refused("no colon", NULL);
    expect_refused(":value", NULL);
    expect_refused("a b:1", NULL);
    expect_refused("a:1\r\nb: 2", NULL);
    expect_refused(NULL, "soon");
    expect_refused(NULL, "");
}

void test_inboxes_differ(void)
{
    char x[CLI_INBOX], y[CLI_INBOX];
    cli_inbox(x);
    cli_inbox(y);
    expect(strcmp(x, y) != 0);
    expect_eq(cli_subject(x, false), OUT_OK);
    expect(strncmp(x, "_INBOX.", 7) == 0);
}
