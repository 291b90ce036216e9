# SPDX-License-Identifier: MIT
"""nats-py against a server: python.py URL. TAP."""

import asyncio
import os
import sys
import traceback

import nats
from nats.errors import MaxPayloadError, NoRespondersError, TimeoutError as NatsTimeout


async def flush(nc):
    """Twice: nats-py may send a PING before a SUB that waits for its writer."""
    await nc.flush()
    await nc.flush()


async def publish_subscribe(nc, other):
    sub = await nc.subscribe("py.*.x")
    await flush(nc)
    for n in range(1000):
        await other.publish(f"py.{n % 7}.x", str(n).encode())
    await flush(other)
    for n in range(1000):
        m = await sub.next_msg(30)
        assert (m.subject, m.data) == (f"py.{n % 7}.x", str(n).encode()), (n, m)
    await sub.unsubscribe(limit=0)


async def request_reply(nc, other):
    async def answer(m):
        await m.respond(b"re:" + m.data)
    await nc.subscribe("py.svc", cb=answer)
    await flush(nc)
    for n in range(200):
        assert (await other.request("py.svc", str(n).encode(), timeout=30)).data == f"re:{n}".encode()
    try:
        await other.request("py.nobody", b"", timeout=30)
        raise AssertionError("nobody answered")
    except NoRespondersError:
        pass


async def old_request(nc, other):
    async def answer(m):
        await nc.publish(m.reply, b"old")
    await nc.subscribe("py.old", cb=answer)
    await flush(nc)
    assert (await other.request("py.old", b"", timeout=30, old_style=True)).data == b"old"


async def queue(nc, other):
    counts = [0, 0, 0]

    def count(i):
        async def one(_):
            counts[i] += 1
        return one
    for i in range(3):
        await (nc if i else other).subscribe("py.q", queue="workers", cb=count(i))
    await flush(nc)
    await flush(other)
    for _ in range(300):
        await nc.publish("py.q", b"x")
    await flush(nc)
    for _ in range(3000):
        if sum(counts) == 300:
            break
        await asyncio.sleep(0.01)
    assert sum(counts) == 300 and min(counts) > 50, counts


async def headers(nc, other):
    sub = await nc.subscribe("py.h")
    await flush(nc)
    sent = {"A": "b", "Long": "x" * 500, "Key-Case": "Value with blanks"}
    await other.publish("py.h", b"body", headers=sent)
    m = await sub.next_msg(30)
    assert m.headers == sent and m.data == b"body", m
    await other.publish("py.h", b"", headers={"Only": "header"})
    m = await sub.next_msg(30)
    assert m.headers == {"Only": "header"} and m.data == b"", m


async def large(nc, other):
    sub = await nc.subscribe("py.large")
    await flush(nc)
    data = os.urandom(nc.max_payload)
    await other.publish("py.large", data)
    assert (await sub.next_msg(30)).data == data
    try:
        await other.publish("py.large", data + b"x")
        raise AssertionError("too much was taken")
    except MaxPayloadError:
        pass


async def automatic_unsubscribe(nc, other):
    sub = await nc.subscribe("py.max")
    await sub.unsubscribe(limit=5)
    await flush(nc)
    for n in range(10):
        await other.publish("py.max", str(n).encode())
    await flush(other)
    for n in range(5):
        assert (await sub.next_msg(30)).data == str(n).encode()
    try:
        await sub.next_msg(0.1)
        raise AssertionError("a sixth")
    except (NatsTimeout, nats.errors.BadSubscriptionError):
        pass


async def drain(nc, other):
    got = []

    async def slow(m):
        await asyncio.sleep(0.0005)
        got.append(m.data)
    sub = await nc.subscribe("py.drain", cb=slow)
    await flush(nc)
    for n in range(500):
        await other.publish("py.drain", str(n).encode())
    while sub.delivered < 500:  # what is still on its way when it drains, this client gives up
        await asyncio.sleep(0.001)
    await nc.drain()
    assert got == [str(n).encode() for n in range(500)], len(got)
    assert nc.is_closed


async def main():
    url, bad = sys.argv[1], 0
    cases = [publish_subscribe, request_reply, old_request, queue, headers, large, automatic_unsubscribe, drain]
    for number, case in enumerate(cases, 1):
        errors = []

        async def note(error):
            errors.append(error)
        nc = await nats.connect(url, error_cb=note, allow_reconnect=False)
        other = await nats.connect(url, error_cb=note, allow_reconnect=False)
        try:
            await asyncio.wait_for(case(nc, other), 110)
            assert not errors, errors
            print(f"ok {number} - {case.__name__.replace('_', ' ')}")
        except Exception:  # pylint: disable=broad-except
            bad += 1
            print(f"not ok {number} - {case.__name__.replace('_', ' ')}")
            print("# " + traceback.format_exc().replace("\n", "\n# "))
        for one in (nc, other):
            if not one.is_closed:
                await one.close()
    print(f"1..{len(cases)}")
    sys.exit(1 if bad else 0)


asyncio.run(main())
