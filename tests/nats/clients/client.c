/* SPDX-License-Identifier: MIT */
/* nats.c against a server: c-client URL. TAP. */
#include <nats/nats.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static natsConnection *one, *other;

#define must(x)                                              \
    do {                                                     \
        if (!(x)) {                                          \
            printf("# line %d: %s\n", __LINE__, #x);         \
            return false;                                    \
        }                                                    \
    } while (0)
#define fine(x) must((x) == NATS_OK)

static bool publish_subscribe(void)
{
    natsSubscription *sub = NULL;
    fine(natsConnection_SubscribeSync(&sub, one, "c.*.x"));
    fine(natsConnection_Flush(one));
    for (int n = 0; n < 10000; n++) {
        char subject[32], data[32];
        snprintf(subject, sizeof subject, "c.%d.x", n % 7);
        snprintf(data, sizeof data, "%d", n);
        fine(natsConnection_PublishString(other, subject, data));
    }
    for (int n = 0; n < 10000; n++) {
        natsMsg *m = NULL;
        fine(natsSubscription_NextMsg(&m, sub, 30000));
        must(strtol(natsMsg_GetData(m), NULL, 10) == n);
        natsMsg_Destroy(m);
    }
    natsSubscription_Destroy(sub);
    return true;
}

static void answer(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure)
{
    (void)s;
    (void)closure;
    natsConnection_Publish(c, natsMsg_GetReply(m), natsMsg_GetData(m), natsMsg_GetDataLength(m));
    natsMsg_Destroy(m);
}

static bool request_reply(void)
{
    natsSubscription *sub = NULL;
    natsMsg *m = NULL;
    fine(natsConnection_Subscribe(&sub, one, "c.svc", answer, NULL));
    fine(natsConnection_Flush(one));
    for (int n = 0; n < 500; n++) {
        char data[32];
        snprintf(data, sizeof data, "%d", n);
        fine(natsConnection_RequestString(&m, other, "c.svc", data, 30000));
        must(strncmp(natsMsg_GetData(m), data, (size_t)natsMsg_GetDataLength(m)) == 0);
        natsMsg_Destroy(m);
        m = NULL;
    }
    must(natsConnection_RequestString(&m, other, "c.nobody", "", 30000) == NATS_NO_RESPONDERS);
    natsSubscription_Destroy(sub);
    return true;
}

static bool queue(void)
{
    natsSubscription *sub[3] = {NULL};
    int64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        natsConnection *c = i ? one : other;
        fine(natsConnection_QueueSubscribeSync(&sub[i], c, "c.q", "workers"));
        fine(natsConnection_Flush(c));
    }
    for (int n = 0; n < 300; n++)
        fine(natsConnection_PublishString(one, "c.q", ""));
    for (int i = 0; i < 3; i++) {
        natsMsg *m = NULL;
        int got = 0;
        fine(natsConnection_Flush(one));
        fine(natsConnection_Flush(other));
        while (natsSubscription_NextMsg(&m, sub[i], 200) == NATS_OK) {
            natsMsg_Destroy(m);
            got++;
        }
        must(got > 50);
        sum += got;
        natsSubscription_Destroy(sub[i]);
    }
    must(sum == 300);
    return true;
}

static bool headers(void)
{
    natsSubscription *sub = NULL;
    natsMsg *m = NULL, *got = NULL;
    const char *value = NULL, **values = NULL;
    int count = 0;
    fine(natsConnection_SubscribeSync(&sub, one, "c.h"));
    fine(natsConnection_Flush(one));
    fine(natsMsg_Create(&m, "c.h", "re.ply", "body", 4));
    fine(natsMsgHeader_Set(m, "Some-Key", "some value"));
    fine(natsMsgHeader_Add(m, "a", "1"));
    fine(natsMsgHeader_Add(m, "a", "2"));
    fine(natsConnection_PublishMsg(other, m));
    fine(natsSubscription_NextMsg(&got, sub, 30000));
    fine(natsMsgHeader_Get(got, "Some-Key", &value));
    must(strcmp(value, "some value") == 0);
    fine(natsMsgHeader_Values(got, "a", &values, &count));
    must(count == 2);
    must(strcmp(natsMsg_GetReply(got), "re.ply") == 0);
    must(natsMsg_GetDataLength(got) == 4);
    free((void *)values);
    natsMsg_Destroy(m);
    natsMsg_Destroy(got);
    natsSubscription_Destroy(sub);
    return true;
}

static bool large(void)
{
    natsSubscription *sub = NULL;
    natsMsg *m = NULL;
    int size = (int)natsConnection_GetMaxPayload(one);
    char *data = calloc(1, (size_t)size + 1);
    fine(natsConnection_SubscribeSync(&sub, one, "c.large"));
    fine(natsConnection_Flush(one));
    data[size - 1] = 7;
    fine(natsConnection_Publish(other, "c.large", data, size));
    fine(natsSubscription_NextMsg(&m, sub, 30000));
    must(natsMsg_GetDataLength(m) == size && natsMsg_GetData(m)[size - 1] == 7);
    must(natsConnection_Publish(other, "c.large", data, size + 1) == NATS_MAX_PAYLOAD);
    natsMsg_Destroy(m);
    natsSubscription_Destroy(sub);
    free(data);
    return true;
}

static void count_one(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure)
{
    (void)c;
    (void)s;
    nats_Sleep(0);
    ++*(int *)closure;
    natsMsg_Destroy(m);
}

static bool drain(void)
{
    static int count;
    natsSubscription *sub = NULL;
    fine(natsConnection_Subscribe(&sub, one, "c.drain", count_one, &count));
    fine(natsConnection_Flush(one));
    for (int n = 0; n < 500; n++)
        fine(natsConnection_PublishString(other, "c.drain", ""));
    fine(natsConnection_Flush(other));
    fine(natsConnection_Drain(one));
    for (int n = 0; n < 6000 && !natsConnection_IsClosed(one); n++)
        nats_Sleep(10);
    must(natsConnection_IsClosed(one));
    must(count == 500);
    natsSubscription_Destroy(sub);
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*run)(void);
    } cases[] = {{"publish and subscribe", publish_subscribe}, {"request and reply", request_reply},
                 {"queue", queue}, {"headers", headers}, {"large", large}, {"drain", drain}};
    int bad = 0, number = 0;
    if (argc != 2 || natsConnection_ConnectTo(&one, argv[1]) != NATS_OK ||
        natsConnection_ConnectTo(&other, argv[1]) != NATS_OK)
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool good = cases[i].run();
        bad += !good;
        printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, cases[i].name);
    }
    printf("1..%d\n", number);
    natsConnection_Destroy(one);
    natsConnection_Destroy(other);
    return bad != 0;
}
