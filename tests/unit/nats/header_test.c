/* SPDX-License-Identifier: MIT */
/* Header blocks: finding a value, times to live. */
#include "nats/private.h"
#include "tap.h"

static bool is(const char *block, const char *name, const char *value)
{
    return bytes_equal(nats_header(bytes_of(block), name), bytes_of(value));
}

void test_values(void)
{
    const char *block = "NATS/1.0 503 No Responders\r\nA: 1\r\nLong-Name:  two words \t\r\n"
                        "A: again\r\nEmpty:\r\nPrefix-A: x\r\n\r\n";
    expect(is(block, "A", "1") && is(block, "Long-Name", "two words") && is(block, "Empty", ""));
    expect(nats_header(bytes_of(block), "Long").at == NULL);
    expect(nats_header(bytes_of(block), "a").at == NULL);
    expect(nats_header(bytes_of(block), "NATS/1.0 503").at == NULL);
    expect(nats_header(bytes_of(""), "A").at == NULL);
    expect(nats_header(bytes_of("NATS/1.0\r\nA: 1"), "A").at == NULL); /* never ended */
    expect(is("NATS/1.0\nA: 1\n\n", "A", "1"));
}

static int64_t ttl(const char *text)
{
    char block[128];
    snprintf(block, sizeof block, "NATS/1.0\r\nNats-TTL: %s\r\n\r\n", text);
    return nats_deadline(bytes_of(block), 1000000);
}

void test_time_to_live(void)
{
    expect_eq(ttl("30"), 1000000 + 30000);
    expect_eq(ttl("250ms"), 1000250);
    expect_eq(ttl("1m30s"), 1000000 + 90000);
    expect_eq(ttl("1.5h"), 1000000 + 5400000);
    expect_eq(ttl("2h45m"), 1000000 + 9900000);
    expect_eq(ttl("1500us"), 1000001);
    expect_eq(ttl("0"), 1000000);
    const char *const none[] = {"never", "", "-5", "5x", "s", "1.2.3s", "99999999999999999999",
                                "1h 2m", "99999999999h"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        expect_eq(ttl(none[i]), 0);
    expect_eq(nats_deadline(bytes_of("NATS/1.0\r\nA: 1\r\n\r\n"), 5), 0);
}
