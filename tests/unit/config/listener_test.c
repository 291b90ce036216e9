/* SPDX-License-Identifier: MIT */
/* listeners and advertised.listeners: addresses, names, controllers, protocols. */
#include "helper.h"

static struct config *listening(const char *listeners, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text, "listeners=%s\n%s", listeners, more);
    return from_file(text);
}

static void refused(const char *listeners, const char *more, enum outcome o, const char *part)
{
    char text[1024];
    snprintf(text, sizeof text, "listeners=%s\n%s", listeners, more);
    expect_refused(&(struct setup){.words = {"--config", "FILE"}, .file = text}, o, part);
}

static void expect_listener(const char *listeners, const char *more, const char *host, int port,
                            const char *advertised_host, int advertised_port)
{
    struct config *c = listening(listeners, more);
    expect_str(c->listeners[0].host, host);
    expect_eq(c->listeners[0].port, port);
    expect_str(c->listeners[0].advertised_host, advertised_host);
    expect_eq(c->listeners[0].advertised_port, advertised_port);
    config_free(c);
}

void test_addresses(void)
{
    expect_listener("PLAINTEXT://:9092", "", "", 9092, "localhost", 9092);
    expect_listener("PLAINTEXT://0.0.0.0:1", "", "0.0.0.0", 1, "localhost", 1);
    expect_listener("PLAINTEXT://10.1.2.3:7", "", "10.1.2.3", 7, "10.1.2.3", 7);
    expect_listener("PLAINTEXT://[::1]:9092", "", "::1", 9092, "::1", 9092);
    expect_listener("PLAINTEXT://[::]:9092", "", "::", 9092, "localhost", 9092);
    expect_listener("PLAINTEXT://h:0", "", "h", 0, "h", 0);
}

void test_advertised(void)
{
    expect_listener("PLAINTEXT://:9092", "advertised.listeners=PLAINTEXT://kafka.example:19092\n",
                    "", 9092, "kafka.example", 19092);
    expect_listener("PLAINTEXT://:9092", "advertised.listeners=PLAINTEXT://[fe80::2]:5\n", "", 9092,
                    "fe80::2", 5);
    struct config *c = loaded(&(struct setup){
        .words = {"--config", "FILE", "--advertised-listener", "[::1]:77"},
        .file = "advertised.listeners=PLAINTEXT://kafka.example:19092\n"});
    expect_str(c->listeners[0].advertised_host, "::1"); /* the option is stronger */
    expect_eq(c->listeners[0].advertised_port, 77);
    config_free(c);
}

void test_the_controller_listener_is_not_for_clients(void)
{
    const char *more = "controller.listener.names=CONTROLLER\n"
                       "advertised.listeners=CONTROLLER://c:1,PLAINTEXT://k:2\n";
    expect_listener("CONTROLLER://:9093,PLAINTEXT://:9092", more, "", 9092, "k", 2);
    refused("CONTROLLER://:9093", "controller.listener.names=CONTROLLER\n", OUT_INVALID,
            "no listener for clients");
}

void test_names(void)
{
    struct config *c = listening("INTERNAL://127.0.0.1:9", "listener.security.protocol.map="
                                 "EXTERNAL:SSL,INTERNAL:PLAINTEXT\n");
    expect_str(c->listeners[0].name, "INTERNAL");
    config_free(c);
}

/* Serving in the clear what was meant to be encrypted would be worse than not starting. */
void test_protocols_that_are_not_served(void)
{
    refused("SSL://:9093", "", OUT_UNSUPPORTED, "listener SSL: only PLAINTEXT");
    refused("SASL_PLAINTEXT://:9093", "", OUT_UNSUPPORTED, "only PLAINTEXT");
    refused("INTERNAL://:9", "listener.security.protocol.map=INTERNAL:SSL\n", OUT_UNSUPPORTED,
            "listener INTERNAL");
}

void test_what_is_no_address(void)
{
    refused("PLAINTEXT://host", "", OUT_INVALID, "no HOST:PORT");
    refused("nonsense", "", OUT_INVALID, "no HOST:PORT");
    refused("PLAINTEXT://h:x", "", OUT_INVALID, "no port from 0 to 65535");
    refused("PLAINTEXT://h:65536", "", OUT_INVALID, "no port from 0 to 65535");
    refused("PLAINTEXT://h:-1", "", OUT_INVALID, "no port from 0 to 65535");
    refused("", "", OUT_INVALID, "no listener for clients");
    refused("PLAINTEXT://:1", "advertised.listeners=PLAINTEXT://k\n", OUT_INVALID, "no HOST:PORT");
}

void test_ids(void)
{
    struct config *c = from_file("node.id=5\nbroker.id=6\n");
    expect_eq(c->node_id, 5);
    config_free(c);
    c = from_file("broker.id=6\n");
    expect_eq(c->node_id, 6);
    config_free(c);
    c = from_file("max.connections=6\n");
    expect_eq(c->node_id, 0);
    config_free(c);
    expect_refused(&(struct setup){.words = {"--broker-id", "-3"}}, OUT_INVALID, "0 or more");
}

void test_several_listeners(void)
{
    struct config *c = listening("INTERNAL://broker:29092,EXTERNAL://:9092,CONTROLLER://:9093",
                                 "controller.listener.names=CONTROLLER\n"
                                 "listener.security.protocol.map=INTERNAL:PLAINTEXT,"
                                 "EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                                 "advertised.listeners=EXTERNAL://localhost:19092\n");
    expect_eq(c->listener_count, 2);
    expect_str(c->listeners[0].name, "INTERNAL");
    expect_str(c->listeners[0].advertised_host, "broker");
    expect_eq(c->listeners[0].advertised_port, 29092);
    expect_str(c->listeners[1].name, "EXTERNAL");
    expect_str(c->listeners[1].host, "");
    expect_str(c->listeners[1].advertised_host, "localhost");
    expect_eq(c->listeners[1].advertised_port, 19092);
    config_free(c);
    refused("A://:1,A://:2", "listener.security.protocol.map=A:PLAINTEXT\n", OUT_INVALID,
            "two are named A");
    refused("PLAINTEXT://:1", "advertised.listeners=OTHER://h:2\n", OUT_INVALID,
            "OTHER is not in listeners");
}
