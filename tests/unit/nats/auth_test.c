/* SPDX-License-Identifier: MIT */
/* Users: the file, ways to identify oneself, what is allowed, in conversations where it matters. */
#include "helper.h"
#include "nats/auth.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <unistd.h>

static struct nats_users *users_of(const char *json)
{
    struct nats_users *users = NULL;
    enum outcome o = nats_users_parse(bytes_of(json), &users);
    if (o != OUT_OK)
        printf("# %s\n", outcome_trail());
    expect(o == OUT_OK);
    return users;
}

static void open_with(const char *json)
{
    static char path[] = "/tmp/fluxmq-users-XXXXXX";
    struct nats_options o = door_options();
    int fd = mkstemp(path);
    expect(fd >= 0 && write(fd, json, strlen(json)) == (ssize_t)strlen(json));
    close(fd);
    o.users_file = path;
    door_open(&o);
    unlink(path);
}

void test_files_that_are_refused(void)
{
    static const struct {
        const char *json, *why;
    } wrong[] = {
        {"{", "line 1"},
        {"[]", "no object"},
        {"{}", "nobody could connect"},
        {"{\"users\":{}}", "no list"},
        {"{\"users\":[{\"user\":\"a\"}]}", "password"},
        {"{\"users\":[{\"user\":\"a\",\"pasword\":\"b\"}]}", "\"pasword\""},
        {"{\"token\":\"\"}", "token"},
        {"{\"token\":\"a\",\"no_auth_user\":\"b\"}", "no_auth_user"},
        {"{\"users\":[{\"nkey\":\"UABC\"}]}", "nkey"},
        {"{\"users\":[{\"user\":\"a\",\"password\":\"b\"},{\"user\":\"a\",\"password\":\"c\"}]}",
         "twice"},
        {"{\"users\":[{\"user\":\"a\",\"password\":\"b\",\"permissions\":{\"pub\":\"x\"}}]}",
         "\"pub\""},
        {"{\"users\":[{\"user\":\"a\",\"password\":\"b\",\"permissions\":{\"publish\":\"x..y\"}}]}",
         "x..y"},
        {"{\"users\":[{\"user\":\"a\",\"password\":\"b\",\"permissions\":"
         "{\"publish\":\"x\",\"allow_responses\":{\"expires\":\"soon\"}}}]}", "expires"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct nats_users *users = NULL;
        expect(nats_users_parse(bytes_of(wrong[i].json), &users) == OUT_INVALID);
        if (strstr(outcome_trail(), wrong[i].why) == NULL)
            printf("# %s: %s\n", wrong[i].json, outcome_trail());
        expect(strstr(outcome_trail(), wrong[i].why) != NULL && users == NULL);
    }
}

void test_passwords_and_tokens(void)
{
    char json[512], salt[64];
    struct crypt_data work = {0};
    expect(crypt_gensalt_rn("$2a$", 4, NULL, 0, salt, sizeof salt) != NULL);
    const char *hash = crypt_r("secret", salt, &work);
    snprintf(json, sizeof json,
             "{\"token\":\"tok\",\"users\":[{\"user\":\"plain\",\"password\":\"pw\"},"
             "{\"user\":\"hashed\",\"password\":\"%s\"}]}", hash);
    struct nats_users *u = users_of(json);
    expect(nats_authenticate(u, &(struct nats_claim){.user = "plain", .password = "pw"}) != NULL);
    expect(nats_authenticate(u, &(struct nats_claim){.user = "plain", .password = "p"}) == NULL);
    expect(nats_authenticate(u, &(struct nats_claim){.user = "plain"}) == NULL);
    const struct nats_user *h =
        nats_authenticate(u, &(struct nats_claim){.user = "hashed", .password = "secret"});
    expect(h != NULL && strcmp(h->name, "hashed") == 0);
    expect(nats_authenticate(u, &(struct nats_claim){.user = "hashed", .password = "x"}) == NULL);
    expect(nats_authenticate(u, &(struct nats_claim){.user = "hashed", .password = hash}) == NULL);
    expect(nats_authenticate(u, &(struct nats_claim){.token = "tok"}) != NULL);
    expect(nats_authenticate(u, &(struct nats_claim){.token = "tokk"}) == NULL);
    expect(nats_authenticate(u, &(struct nats_claim){0}) == NULL);
    expect(nats_users_nobody(u) == NULL && !nats_users_nkeys(u));
    nats_users_free(u);
}

static void expect_soon(struct peer *p, const char *text)
{
    const char *out = "";
    while (out[0] == '\0') {
        pass(0);
        out = peer_out(p);
    }
    expect(strcmp(out, text) == 0);
}

void test_hashes_are_checked_while_others_go_on(void)
{
    char json[512], salt[64];
    struct crypt_data work = {0};
    expect(crypt_gensalt_rn("$2a$", 9, NULL, 0, salt, sizeof salt) != NULL);
    snprintf(json, sizeof json, "{\"token\":\"t\",\"users\":[{\"user\":\"h\",\"password\":"
             "\"%s\"}]}", crypt_r("secret", salt, &work));
    open_with(json);
    struct peer *good = peer_new(0), *bad = peer_new(1), *gone = peer_new(0);
    peer_send(good, "CONNECT {\"verbose\":false,\"user\":\"h\",\"pass\":\"secret\"}\r\n"
                    "SUB x 1\r\nPUB x 1\r\na\r\nPING\r\n");
    peer_send(bad, "CONNECT {\"user\":\"h\",\"pass\":\"guess\"}\r\nPING\r\n");
    peer_send(gone, "CONNECT {\"user\":\"h\",\"pass\":\"secret\"}\r\n");
    expect(good->paused && good->in_size > 0 && bad->paused);
    peer_close(gone);
    struct peer *quick = peer_connect(0, "{\"verbose\":false,\"auth_token\":\"t\"}");
    peer_send(quick, "PING\r\n");
    peer_expect(quick, "PONG\r\n");
    expect_soon(good, "MSG x 1 1\r\na\r\nPONG\r\n");
    expect_soon(bad, "-ERR 'Authorization Violation'\r\n");
    expect(bad->gone && !good->gone);
    struct peer *late = peer_new(0); /* its answer comes when the door is closed */
    peer_send(late, "CONNECT {\"user\":\"h\",\"pass\":\"secret\"}\r\n");
    door_close();
}

/* A fresh user's key: its public text, and what it signs. */
static EVP_PKEY *new_key(char text[static 57])
{
    uint8_t raw[NATS_KEY_BYTES];
    size_t size = sizeof raw;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    expect(key != NULL && EVP_PKEY_get_raw_public_key(key, raw, &size) == 1);
    nats_key_encode('U', raw, text);
    return key;
}

static void sign(EVP_PKEY *key, const char *text, char out[static 128])
{
    unsigned char raw[64];
    size_t size = sizeof raw;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    expect(EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1);
    expect(EVP_DigestSign(c, raw, &size, (const unsigned char *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(c);
    EVP_EncodeBlock((unsigned char *)out, raw, (int)size);
}

static void url_safe(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '+')
            *text = '-';
        if (*text == '/')
            *text = '_';
        if (*text == '=')
            *text = '\0';
    }
}

void test_nkey_text(void)
{
    /* The user key of the nkeys project's documentation. */
    const char *known = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    uint8_t key[NATS_KEY_BYTES];
    char text[57], wrong[57];
    expect(nats_key_decode(known, key));
    nats_key_encode('U', key, text);
    expect(strcmp(text, known) == 0);
    for (size_t i = 0; i < 56; i++) {
        memcpy(wrong, known, sizeof wrong);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        expect(!nats_key_decode(wrong, key));
    }
    nats_key_encode('A', key, text); /* an account is no user */
    expect(!nats_key_decode(text, key) && !nats_key_decode("", key));
}

void test_nkeys(void)
{
    char text[57], json[256], send[512], nonce[32], signature[128];
    EVP_PKEY *key = new_key(text);
    snprintf(json, sizeof json, "{\"users\":[{\"nkey\":\"%s\"}]}", text);
    open_with(json);
    for (int safe = 0; safe < 3; safe++) {
        struct peer *p = peer_raw(0);
        const char *found = strstr(peer_out(p), "\"nonce\":\"");
        expect(found != NULL);
        snprintf(nonce, sizeof nonce, "%.15s", found + 9);
        expect(strlen(nonce) == 15 && strchr(nonce, '"') == NULL);
        sign(key, safe == 2 ? "another nonce.." : nonce, signature);
        if (safe == 1)
            url_safe(signature);
        snprintf(send, sizeof send, "CONNECT {\"verbose\":false,\"nkey\":\"%s\",\"sig\":\"%s\"}"
                 "\r\nPING\r\n", text, signature);
        peer_send(p, send);
        peer_expect(p, safe == 2 ? "-ERR 'Authorization Violation'\r\n" : "PONG\r\n");
    }
    EVP_PKEY_free(key);
    door_close();
}

#define TWO_USERS                                                                              \
    "{\"users\":[{\"user\":\"a\",\"password\":\"a\"},"                                         \
    "{\"user\":\"b\",\"password\":\"b\",\"permissions\":{\"publish\":{\"allow\":[\"ok.>\"],"   \
    "\"deny\":\"ok.not\"},\"subscribe\":{\"allow\":[\"in.>\",\"q.* w\"],\"deny\":\"in.secret\"}}}]}"

#define AS_A "{\"verbose\":false,\"pedantic\":false,\"user\":\"a\",\"pass\":\"a\"}"
#define AS_B "{\"verbose\":true,\"pedantic\":false,\"user\":\"b\",\"pass\":\"b\"}"

void test_who_does_not_say_who_it_is(void)
{
    open_with(TWO_USERS);
    struct peer *p = peer_raw(0);
    expect(strstr(peer_out(p), "\"auth_required\":true") != NULL);
    peer_send(p, "PING\r\n");
    peer_expect(p, "-ERR 'Authorization Violation'\r\n");
    expect(p->gone);
    p = peer_connect(0, "{\"user\":\"a\",\"pass\":\"b\"}");
    peer_expect(p, "-ERR 'Authorization Violation'\r\n");
    p = peer_connect(0, "{}");
    peer_expect(p, "-ERR 'Authorization Violation'\r\n");
    p = peer_new(0);
    pass(1999);
    peer_expect(p, "");
    pass(1);
    peer_expect(p, "-ERR 'Authentication Timeout'\r\n");
    expect(p->gone);
    p = peer_connect(0, AS_A);
    pass(1000);
    peer_send(p, "PING\r\n");
    peer_expect(p, "PONG\r\n");
    door_close();
}

void test_no_auth_user(void)
{
    open_with("{\"no_auth_user\":\"g\",\"users\":[{\"user\":\"g\",\"password\":\"x\","
              "\"permissions\":{\"publish\":\"a\"}}]}");
    struct peer *p = peer_new(0);
    peer_send(p, "PING\r\nPUB b 0\r\n\r\n");
    peer_expect(p, "PONG\r\n-ERR 'Permissions Violation for Publish to \"b\"'\r\n");
    p = peer_connect(0, "{\"verbose\":false}");
    peer_send(p, "PUB b 0\r\n\r\n");
    peer_expect(p, "-ERR 'Permissions Violation for Publish to \"b\"'\r\n");
    door_close();
}

void test_permissions(void)
{
    open_with(TWO_USERS);
    struct peer *a = peer_connect(0, AS_A), *b = peer_connect(0, AS_B);
    peer_expect(b, "+OK\r\n");
    peer_send(a, "SUB > 1\r\n");
    peer_send(b, "PUB ok.x 0\r\n\r\nPUB ok.not 0\r\n\r\nPUB other 0\r\n\r\n");
    peer_expect(b, "+OK\r\n-ERR 'Permissions Violation for Publish to \"ok.not\"'\r\n"
                   "-ERR 'Permissions Violation for Publish to \"other\"'\r\n");
    peer_expect(a, "MSG ok.x 1 0\r\n\r\n");
    peer_send(b, "SUB in.x 1\r\nSUB in.* 2\r\nSUB other 3\r\nSUB > 3\r\nSUB in.secret 3\r\n");
    peer_expect(b, "+OK\r\n+OK\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"other\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \">\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"in.secret\"'\r\n");
    peer_send(b, "SUB q.x 4\r\nSUB q.x w 5\r\nSUB q.x v 6\r\n");
    peer_expect(b, "-ERR 'Permissions Violation for Subscription to \"q.x\"'\r\n+OK\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"q.x\" using queue "
                   "\"v\"'\r\n");
    /* A wildcard is allowed, but not what is denied under it. */
    peer_send(a, "PUB in.secret 0\r\n\r\nPUB in.y 0\r\n\r\n");
    peer_expect(b, "MSG in.y 2 0\r\n\r\n");
    door_close();
}

void test_queue_rules(void)
{
    struct nats_users *u = users_of(
        "{\"users\":[{\"user\":\"a\",\"password\":\"a\",\"permissions\":{\"subscribe\":"
        "{\"allow\":[\"foo\",\"foo v1\",\"foo v2.*\",\"bar\"],\"deny\":[\"bar w\"]}}}]}");
    const struct nats_permissions *p =
        nats_authenticate(u, &(struct nats_claim){.user = "a", .password = "a"})->permissions;
    struct bytes none = {0}, foo = bytes_of("foo"), bar = bytes_of("bar");
    expect(nats_may_subscribe(p, foo, none) && nats_may_subscribe(p, foo, bytes_of("v1")));
    expect(nats_may_subscribe(p, foo, bytes_of("v2.x")));
    expect(!nats_may_subscribe(p, foo, bytes_of("v3")));
    expect(nats_may_subscribe(p, bar, none) && nats_may_subscribe(p, bar, bytes_of("q")));
    expect(!nats_may_subscribe(p, bar, bytes_of("w")));
    nats_users_free(u);
}

void test_answers_are_allowed(void)
{
    open_with("{\"users\":[{\"user\":\"a\",\"password\":\"a\"},{\"user\":\"b\",\"password\":\"b\","
              "\"permissions\":{\"subscribe\":\"svc\",\"allow_responses\":{\"max\":2,"
              "\"expires\":\"1s\"}}}]}");
    struct peer *a = peer_connect(0, AS_A);
    struct peer *b = peer_connect(0, "{\"verbose\":false,\"user\":\"b\",\"pass\":\"b\"}");
    peer_send(a, "SUB r.* 1\r\n");
    peer_send(b, "SUB svc 1\r\nPUB r.1 0\r\n\r\n");
    peer_expect(b, "-ERR 'Permissions Violation for Publish to \"r.1\"'\r\n");
    peer_send(a, "PUB svc r.1 0\r\n\r\n");
    peer_expect(b, "MSG svc 1 r.1 0\r\n\r\n");
    peer_send(b, "PUB r.1 0\r\n\r\nPUB r.1 0\r\n\r\nPUB r.1 0\r\n\r\n");
    peer_expect(b, "-ERR 'Permissions Violation for Publish to \"r.1\"'\r\n");
    peer_expect(a, "MSG r.1 1 0\r\n\r\nMSG r.1 1 0\r\n\r\n");
    peer_send(a, "PUB svc r.2 0\r\n\r\n");
    peer_expect(b, "MSG svc 1 r.2 0\r\n\r\n");
    pass(1000);
    peer_send(b, "PUB r.2 0\r\n\r\n");
    peer_expect(b, "-ERR 'Permissions Violation for Publish to \"r.2\"'\r\n");
    door_close();
}
