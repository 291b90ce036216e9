/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the NATS parser. The first byte says where the stream is cut: what is parsed from
 * the parts must be what is parsed from the whole, views must lie in what was given, and a parser
 * that waits must have a reason. Headers and times to live are looked for in what it finds.
 */
#include "base/check.h"
#include "fuzz.h"
#include "nats/private.h"

static const struct nats_limits limits = {.control_line = 128, .payload = 512};

static void check_inside(struct bytes view, struct bytes in)
{
    if (view.size > 0) {
        check(view.at >= in.at);
        check(view.at + view.size <= in.at + in.size);
    }
}

static enum nats_parsed step(struct bytes in, struct nats_op *op, size_t *used, size_t *want)
{
    enum nats_parsed p = nats_parse(in, &limits, op, used, want);
    if (p == NATS_MORE)
        check(*want == 0 || *want > in.size);
    if (p == NATS_MORE && *want == 0)
        check(in.size <= limits.control_line * 2 + 16);
    if (p != NATS_PARSED)
        return p;
    check(*used > 0);
    check(*used <= in.size);
    check(op->headers.size + op->payload.size <= limits.payload);
    check_inside(op->subject, in);
    check_inside(op->reply, in);
    check_inside(op->queue, in);
    check_inside(op->sid, in);
    check_inside(op->argument, in);
    check_inside(op->headers, in);
    check_inside(op->payload, in);
    check_inside(nats_header(op->headers, "Nats-TTL"), op->headers);
    (void)nats_deadline(op->headers, 0);
    return p;
}

/* What the stream comes to when it arrives in two parts: operations, their bytes, the end. */
static uint64_t digest(struct bytes stream, size_t cut)
{
    uint64_t sum = 14695981039346656037u;
    size_t at = 0, end = cut;
    for (;;) {
        struct nats_op op = {0};
        size_t used = 0, want = 0;
        struct bytes in = {stream.at + at, end - at};
        enum nats_parsed p = in.size == 0 ? NATS_MORE : step(in, &op, &used, &want);
        if (p == NATS_MORE && end < stream.size) {
            end = stream.size;
            continue;
        }
        sum = (sum ^ (unsigned)p) * 1099511628211u;
        if (p != NATS_PARSED)
            return sum;
        sum = (sum ^ (unsigned)op.verb ^ (uint64_t)op.max << 8) * 1099511628211u;
        sum = (sum ^ used ^ op.payload.size << 20 ^ op.subject.size << 40) * 1099511628211u;
        at += used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct bytes stream = {data + 1, size - 1};
    size_t cut = stream.size == 0 ? 0 : data[0] % (stream.size + 1);
    check(digest(stream, stream.size) == digest(stream, cut));
    return 0;
}

static const char *const seeds[] = {
    "CONNECT {\"verbose\":false}\r\nPING\r\nSUB foo.* q 1\r\n",
    "PUB foo 5\r\nhello\r\nPUB foo r 0\r\n\r\n",
    "HPUB foo r 26 28\r\nNATS/1.0\r\nNats-TTL: 1m\r\n\r\nhi\r\nPONG\r\n",
    "UNSUB 1 5\r\nunsub 2\n+OK\r\n-ERR 'x'\r\nINFO {}\r\n",
    "PUB foo 999\r\n",
    "PUBS foo 2\r\n",
    "SUB a b c d\r\n",
    "PUB a 1\r\nab\r\n",
};

/* Each seed at every cut. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room)
{
    for (size_t i = 0; i < COUNT_OF(seeds); i++) {
        size_t size = strlen(seeds[i]);
        if (number > size) {
            number -= size + 1;
            continue;
        }
        check(size < room);
        out[0] = (uint8_t)number;
        memcpy(out + 1, seeds[i], size);
        return size + 1;
    }
    return 0;
}
