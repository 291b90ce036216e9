/* SPDX-License-Identifier: MIT */
/*
 * Conversations with the door: what a client sends and exactly what it gets. The reference is
 * nats-server 2.15.1, observed; the first test is one of its conversations byte for byte.
 */
#include "helper.h"

#include <jansson.h>

#define QUIET "{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}"

static json_t *info_of(const char *text)
{
    json_error_t error;
    expect(strncmp(text, "INFO ", 5) == 0);
    json_t *o = json_loads(text + 5, JSON_DISABLE_EOF_CHECK, &error);
    expect(json_is_object(o));
    return o;
}

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

void test_as_nats_server_answers(void)
{
    door_open(NULL);
    struct peer *p = peer_connect(
        0, "{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}");
    peer_expect(p, "");
    peer_send(p, "PING\r\n");
    pass(0);
    const char *out = peer_out(p);
    expect(strncmp(out, "PONG\r\nINFO {", 12) == 0);
    json_t *info = info_of(out + 6);
    expect(json_is_true(json_object_get(info, "connect_info")));
    expect(strcmp(text_of(info, "remote_account"), "$G") == 0);
    json_decref(info);
    peer_send(p, "SUB _I.1 9\r\nHPUB no.one _I.1 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhi\r\n"
                 "PUB foo.* 0\r\n\r\nSUB foo..bar 3\r\nPING\r\n");
    peer_expect(p, "HMSG _I.1 9 38 38\r\nNATS/1.0 503\r\nNats-Subject: no.one\r\n\r\n\r\n"
                   "-ERR 'Invalid Publish Subject'\r\n-ERR 'Invalid Subject'\r\nPONG\r\n");
    p = peer_connect(0, "{\"verbose\":true,\"pedantic\":true}");
    peer_send(p, "PUB foo.* 0\r\n\r\nSUB foo..bar 3\r\nSUB a 1\r\nPUB a 1048577\r\n");
    peer_expect(p, "+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n-ERR 'Invalid Subject'\r\n"
                   "+OK\r\n-ERR 'Maximum Payload Violation'\r\n");
    expect(p->gone && p->how == LINK_AFTER_OUTPUT);
    door_close();
}

void test_info(void)
{
    door_open(NULL);
    struct peer *p = peer_raw(1), *q = peer_raw(0);
    const char *out = peer_out(p);
    expect(strcmp(out + strlen(out) - 4, "} \r\n") == 0);
    json_t *a = info_of(out), *b = info_of(peer_out(q));
    expect(strlen(text_of(a, "server_id")) == 56 && text_of(a, "server_id")[0] == 'N');
    expect(json_integer_value(json_object_get(a, "port")) == 4222);
    expect(json_integer_value(json_object_get(a, "max_payload")) == (json_int_t)MiB(1));
    expect(json_integer_value(json_object_get(a, "proto")) == 1);
    expect(json_is_true(json_object_get(a, "headers")));
    expect(json_object_get(a, "auth_required") == NULL && json_object_get(a, "nonce") == NULL);
    expect(strcmp(text_of(a, "client_ip"), "127.0.0.1") == 0);
    expect(json_integer_value(json_object_get(a, "client_id")) !=
           json_integer_value(json_object_get(b, "client_id")));
    json_decref(a);
    json_decref(b);
    door_close();
}

void test_message_goes_to_subscribers_of_both_shards(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *b = peer_quiet(1), *p = peer_quiet(0);
    peer_send(a, "SUB foo.* 1\r\nSUB foo.> two\r\n");
    peer_send(b, "SUB foo.bar 3\r\nSUB other 4\r\n");
    pass(0);
    peer_send(p, "PUB foo.bar 5\r\nhello\r\nPUB foo.bar my.reply 0\r\n\r\n");
    pass(0);
    const char *out = peer_out(a);
    expect(strstr(out, "MSG foo.bar 1 5\r\nhello\r\n") != NULL);
    expect(strstr(out, "MSG foo.bar two 5\r\nhello\r\n") != NULL);
    expect(strstr(out, "MSG foo.bar 1 my.reply 0\r\n\r\n") != NULL);
    peer_expect(b, "MSG foo.bar 3 5\r\nhello\r\nMSG foo.bar 3 my.reply 0\r\n\r\n");
    peer_expect(p, "");
    door_close();
}

void test_headers_are_cut_off_for_those_without(void)
{
    door_open(NULL);
    struct peer *with = peer_quiet(0), *p = peer_quiet(0);
    struct peer *without = peer_connect(0, "{\"verbose\":false,\"pedantic\":false}");
    peer_send(with, "SUB a 1\r\n");
    peer_send(without, "SUB a 1\r\n");
    peer_send(p, "HPUB a r 18 20\r\nNATS/1.0\r\nB: C\r\n\r\nhi\r\n");
    peer_expect(with, "HMSG a 1 r 18 20\r\nNATS/1.0\r\nB: C\r\n\r\nhi\r\n");
    peer_expect(without, "MSG a 1 r 2\r\nhi\r\n");
    peer_send(without, "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    peer_expect(without, ""); /* closed without a word */
    expect(without->gone && without->how == LINK_NOW);
    door_close();
}

void test_large_payloads_are_shared(void)
{
    static char text[200000];
    door_open(NULL);
    struct peer *a = peer_quiet(0), *b = peer_quiet(1), *p = peer_quiet(0);
    peer_send(a, "SUB big 1\r\nSUB big 2\r\n");
    peer_send(b, "SUB big 1\r\n");
    pass(0);
    memset(text, 'x', 100000);
    peer_send(p, "HPUB big 14 100014\r\nNATS/1.0\r\nA:\r\n");
    peer_bytes(p, text, 50000);
    peer_expect(a, "");
    peer_bytes(p, text, 50000);
    peer_send(p, "\r\nPUB big 1\r\ny\r\n");
    pass(0);
    const char *out = peer_out(b);
    expect(strncmp(out, "HMSG big 1 14 100014\r\nNATS/1.0\r\nA:\r\nxxx", 39) == 0);
    expect(strcmp(out + 21 + 14 + 100000 + 1, "\r\nMSG big 1 1\r\ny\r\n") == 0);
    expect(strlen(peer_out(a)) == 2 * (22 + 100014 + 2 + 17 - 1) + 0);
    door_close();
}

void test_unsub(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *p = peer_quiet(0);
    peer_send(a, "SUB x 1\r\nUNSUB 1 2\r\nSUB y 2\r\nUNSUB 2\r\nUNSUB 77\r\nUNSUB 77 5\r\n");
    peer_send(p, "PUB x 1\r\n1\r\nPUB x 1\r\n2\r\nPUB x 1\r\n3\r\nPUB y 1\r\n4\r\n");
    peer_expect(a, "MSG x 1 1\r\n1\r\nMSG x 1 1\r\n2\r\n");
    peer_send(a, "SUB x 1\r\n"); /* the sid is free again */
    peer_send(p, "PUB x 1\r\n5\r\nPUB x 1\r\n6\r\n");
    peer_expect(a, "MSG x 1 1\r\n5\r\nMSG x 1 1\r\n6\r\n");
    peer_send(a, "UNSUB 1 2\r\n"); /* reached already */
    peer_send(p, "PUB x 1\r\n7\r\n");
    peer_expect(a, "");
    door_close();
}

void test_first_of_a_sid_stays(void)
{
    door_open(NULL);
    struct peer *a = peer_connect(0, "{\"verbose\":true,\"pedantic\":false}");
    peer_send(a, "SUB x 1\r\nSUB y 1\r\nSUB x 1\r\nPUB y 0\r\n\r\nPUB x 0\r\n\r\n");
    peer_expect(a, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG x 1 0\r\n\r\n");
    struct nats_figures f;
    expect(nats_figures(&f));
    expect_eq(f.subscriptions, 1);
    door_close();
}

void test_many_sids(void)
{
    char line[64];
    door_open(NULL);
    struct peer *a = peer_quiet(0);
    for (int i = 0; i < 2000; i++) {
        snprintf(line, sizeof line, "SUB s.%d sid%d\r\n", i, i);
        peer_send(a, line);
    }
    for (int i = 0; i < 2000; i += 2) {
        snprintf(line, sizeof line, "UNSUB sid%d\r\n", i);
        peer_send(a, line);
    }
    for (int i = 0; i < 2000; i++) {
        char want[64] = "";
        snprintf(line, sizeof line, "PUB s.%d 0\r\n\r\n", i);
        peer_send(a, line);
        if (i % 2 == 1)
            snprintf(want, sizeof want, "MSG s.%d sid%d 0\r\n\r\n", i, i);
        if (i % 50 == 0)
            pass(0);
        expect(strcmp(peer_out(a), want) == 0);
    }
    door_close();
}

void test_echo_off(void)
{
    door_open(NULL);
    struct peer *a = peer_connect(0, "{\"verbose\":false,\"pedantic\":false,\"echo\":false}");
    struct peer *b = peer_quiet(0);
    peer_send(a, "SUB x 1\r\n");
    peer_send(b, "SUB x 1\r\n");
    peer_send(a, "PUB x 2\r\nme\r\n");
    peer_send(b, "PUB x 3\r\nyou\r\n");
    peer_expect(a, "MSG x 1 3\r\nyou\r\n");
    peer_expect(b, "MSG x 1 2\r\nme\r\nMSG x 1 3\r\nyou\r\n");
    door_close();
}

void test_queue_members_share(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *b = peer_quiet(1), *p = peer_quiet(0);
    peer_send(a, "SUB q w 1\r\n");
    peer_send(b, "SUB q w 1\r\n");
    pass(0);
    for (int i = 0; i < 400; i++)
        peer_send(p, "PUB q 0\r\n\r\n");
    pass(0);
    size_t one = strlen("MSG q 1 0\r\n\r\n");
    size_t got_a = strlen(peer_out(a)) / one, got_b = strlen(peer_out(b)) / one;
    expect_eq(got_a + got_b, 400);
    expect(got_a > 120 && got_b > 120);
    door_close();
}

void test_no_responders(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *b = peer_quiet(1);
    peer_send(a, "SUB _INBOX.a.* 7\r\nPUB nobody _INBOX.a.x 2\r\nhi\r\n");
    peer_expect(a, "HMSG _INBOX.a.x 7 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n");
    peer_send(a, "PUB nobody _INBOX.other 0\r\n\r\n"); /* not its own */
    peer_expect(a, "");
    peer_send(b, "SUB nobody 1\r\n");
    pass(0);
    peer_send(a, "PUB nobody _INBOX.a.x 2\r\nhi\r\n"); /* on another shard, somebody does */
    peer_expect(a, "");
    peer_expect(b, "MSG nobody 1 _INBOX.a.x 2\r\nhi\r\n");
    peer_send(b, "PUB _INBOX.a.x 2\r\nho\r\n");
    peer_expect(a, "MSG _INBOX.a.x 7 2\r\nho\r\n");
    door_close();
}

static void closes_with(const char *sent, const char *error)
{
    struct peer *p = peer_quiet(0);
    peer_send(p, sent);
    peer_expect(p, error);
    expect(p->gone);
    expect(p->how == (error[0] == '\0' ? LINK_NOW : LINK_AFTER_OUTPUT));
}

void test_errors_that_close(void)
{
    char line[8192];
    door_open(NULL);
    closes_with("PUBS foo 2\r\n", "-ERR 'Unknown Protocol Operation'\r\n");
    closes_with("SUBZZZ foo 1\r\n", "-ERR 'Unknown Protocol Operation'\r\n");
    closes_with("PUB foo 5\r\nhello world", "-ERR 'Unknown Protocol Operation'\r\n");
    closes_with("PUB foo\r\n", "");
    closes_with("CONNECT {\r\n", "");
    closes_with("CONNECT {\"verbose\":\"yes\"}\r\n", "");
    closes_with("CONNECT {\"protocol\":2}\r\n", "-ERR 'invalid client protocol'\r\n");
    closes_with("CONNECT {\"headers\":false,\"no_responders\":true}\r\n",
                "-ERR 'no responders requires headers support'\r\n");
    closes_with("CONNECT {\"account\":\"a\"}\r\n", "-ERR 'Authorization Violation'\r\n");
    memset(line, 'a', sizeof line);
    memcpy(line, "PUB ", 4);
    line[sizeof line - 1] = '\0';
    closes_with(line, "-ERR 'maximum control line exceeded'\r\n");
    door_close();
}

void test_nothing_is_served_behind_an_error(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *p = peer_quiet(0);
    peer_send(a, "SUB x 1\r\n");
    peer_send(p, "PUB x 1\r\n1\r\nFOO\r\nPUB x 1\r\n2\r\n");
    peer_expect(a, "MSG x 1 1\r\n1\r\n");
    expect(p->gone && !a->gone);
    door_close();
}

void test_second_connect_starts_afresh(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0);
    peer_send(a, "SUB x 1\r\nCONNECT {\"verbose\":true}\r\nPUB x 0\r\n\r\nPING\r\n");
    peer_expect(a, "+OK\r\n+OK\r\nPONG\r\n");
    door_close();
}

void test_limits_of_connections_and_subscriptions(void)
{
    struct nats_options o = door_options();
    o.max_connections = 2;
    o.max_subscriptions = 2;
    door_open(&o);
    struct peer *a = peer_quiet(0), *b = peer_quiet(1), *c = peer_raw(0);
    pass(0);
    const char *out = peer_out(c);
    expect(strstr(out, "} \r\n-ERR 'maximum connections exceeded'\r\n") != NULL && c->gone);
    peer_send(a, "SUB x 1\r\nSUB y 2\r\nSUB z 3\r\nUNSUB 1\r\nSUB z 3\r\n");
    peer_expect(a, "-ERR 'maximum subscriptions exceeded'\r\n");
    peer_close(b);
    peer_quiet(1);
    door_close();
}

void test_pings(void)
{
    struct nats_options o = door_options();
    o.ping_interval_ms = 1000;
    door_open(&o);
    struct peer *a = peer_quiet(0);
    pass(1200);
    peer_expect(a, "PING\r\n");
    peer_send(a, "PONG\r\n");
    pass(500);
    peer_send(a, "PING\r\n");
    peer_expect(a, "PONG\r\n");
    pass(600);
    peer_expect(a, ""); /* it spoke 600 ms ago */
    pass(1000);
    peer_expect(a, "PING\r\n");
    pass(1000);
    peer_expect(a, "PING\r\n");
    pass(1000);
    peer_expect(a, "-ERR 'Stale Connection'\r\n");
    expect(a->gone);
    struct nats_figures f;
    expect(nats_figures(&f));
    expect_eq(f.stale_connections, 1);
    door_close();
}

void test_lame_duck(void)
{
    door_open(NULL);
    struct peer *a = peer_connect(0, "{\"verbose\":false,\"protocol\":1}");
    struct peer *b = peer_quiet(0), *c = peer_quiet(1);
    nats_lame_duck();
    pass(0);
    json_t *info = info_of(peer_out(a));
    expect(json_is_true(json_object_get(info, "ldm")));
    json_decref(info);
    peer_expect(b, "");
    expect(peer_raw(0)->gone);
    pass(1000);
    expect(a->gone && !b->gone && c->gone);
    pass(4500);
    expect(b->gone);
    door_close();
}

void test_time_to_live(void)
{
    door_open(NULL);
    struct peer *a = peer_quiet(0), *p = peer_quiet(0);
    peer_send(a, "SUB x 1\r\n");
    peer_send(p, "HPUB x 25 26\r\nNATS/1.0\r\nNats-TTL: 5\r\n\r\na\r\n");
    pass(0);
    expect(strncmp(peer_out(a), "HMSG x 1 25 26\r\n", 16) == 0);
    door_close();
}
