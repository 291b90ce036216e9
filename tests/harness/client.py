# SPDX-License-Identifier: MIT
"""A small Kafka client that hides nothing: one connection, requests by hand, batches by hand.

Produce and Fetch are written out for speed; everything else goes through the table driven codec.
"""

import ctypes
import os
import socket
import struct
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "probe", "recorded"))

from codec import Tables  # noqa: E402
from loglist import crc32c as slow_crc32c  # noqa: E402

T = Tables()
PRODUCE, FETCH = 8, 11  # the versions written out here


def load_crc():
    """ISA-L's, which the broker itself needs to be built; the slow one else."""
    for name in ("libisal.so.2", "libisal.so"):
        try:
            function = ctypes.CDLL(name).crc32_iscsi
        except OSError:
            continue
        function.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint]
        function.restype = ctypes.c_uint
        return lambda data: function(data, len(data), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return slow_crc32c


crc32c = load_crc()
assert crc32c(b"123456789") == 0xE3069283


class Lost(Exception):
    """The connection is gone."""


class Refused(Exception):
    """The broker answered with an error code."""

    def __init__(self, what, code):
        super().__init__(f"{what}: error {code}")
        self.code = code


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def batch(values, pid=-1, epoch=-1, sequence=-1, timestamp=None):
    """A record batch without keys or headers."""
    now = int(time.time() * 1000) if timestamp is None else timestamp
    body = bytearray()
    for delta, value in enumerate(values):
        record = b"\0\0" + varint(delta) + b"\1" + varint(len(value)) + value + b"\0"
        body += varint(len(record)) + record
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, pid, epoch, sequence, len(values)) + bytes(body)
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def records(data):
    """(offset, value, producer id, sequence) of every record of the whole batches in data."""
    at = 0
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        crc, = struct.unpack_from(">I", data, at + 17)
        if crc != crc32c(bytes(data[at + 21:end])):
            raise ValueError(f"the batch at offset {base} has a wrong CRC")
        pid, _, sequence, count = struct.unpack_from(">qhii", data, at + 43)
        place = at + 61
        for index in range(count):
            _, place = read_varint(data, place)
            _, here = read_varint(data, place + 1)
            delta, here = read_varint(data, here)
            size, here = read_varint(data, here)
            here += max(size, 0)
            size, here = read_varint(data, here)
            yield base + delta, bytes(data[here:here + size]), pid, sequence + index
            place = here + max(size, 0) + 1
        at = end


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


class Client:
    def __init__(self, port, timeout=30.0, name="harness"):
        self.name, self.correlation, self.pending = name, 0, bytearray()
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        except OSError as problem:
            raise Lost(str(problem)) from problem
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def send_frame(self, api, version, body):
        """Sends; returns the correlation id."""
        self.correlation += 1
        key = T.keys[api]
        if T.head[api, "request", version] == 2:
            head = T.encode("RequestHeader", "header", 2, {
                "requestApiKey": key, "requestApiVersion": version, "correlationId": self.correlation,
                "clientId": self.name})
        else:
            head = struct.pack(">hhi", key, version, self.correlation) + string(self.name)
        try:
            self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        except OSError as problem:
            raise Lost(str(problem)) from problem
        return self.correlation

    def receive_frame(self):
        """(correlation id, the rest)"""
        size, = struct.unpack(">i", self.read(4))
        data = self.read(size)
        return struct.unpack_from(">i", data)[0], data[4:]

    def read(self, size):
        while len(self.pending) < size:
            try:
                data = self.socket.recv(1 << 18)
            except OSError as problem:
                raise Lost(str(problem)) from problem
            if not data:
                raise Lost("closed")
            self.pending += data
        out = bytes(self.pending[:size])
        del self.pending[:size]
        return out

    def call(self, api, version, body):
        self.send_frame(api, version, T.encode(api, "request", version, body))
        return self.answer(api, version)

    def answer(self, api, version):
        number, data = self.receive_frame()
        assert number == self.correlation, f"{api}: answer {number} to request {self.correlation}"
        if T.head[api, "response", version] == 1:
            _, used = T.decode("ResponseHeader", "header", 1, b"\0\0\0\0" + data, rest=True)
            data = data[used - 4:]
        return T.decode(api, "response", version, data)

    # ---- produce and fetch, by hand

    def send_produce(self, topic, partition, data, acks):
        return self.send_frame("Produce", PRODUCE, b"\xff\xff" + struct.pack(">hii", acks, 30000, 1) + string(topic)
                               + struct.pack(">iii", 1, partition, len(data)) + data)

    def receive_produce(self):
        """(correlation id, error code, base offset) of a request with one partition"""
        number, data = self.receive_frame()
        size, = struct.unpack_from(">h", data, 4)
        _, code, base = struct.unpack_from(">ihq", data, 6 + size + 4)
        return number, code, base

    def fetch(self, topic, positions, wait_ms=0, size_max=1 << 20):
        """{partition: (error, high watermark, record bytes)}"""
        body = struct.pack(">iiiibii", -1, wait_ms, 1, 50 << 20, 0, 0, -1)
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">i", len(positions))
        for partition, offset in positions.items():
            body += struct.pack(">iiqqi", partition, -1, offset, -1, size_max)
        self.send_frame("Fetch", FETCH, body + struct.pack(">i", 0) + string(""))
        _, data = self.receive_frame()
        code, = struct.unpack_from(">h", data, 4)
        if code:
            raise Refused("Fetch", code)
        at = 10 + 4
        size, = struct.unpack_from(">h", data, at)
        at += 2 + size
        count, = struct.unpack_from(">i", data, at)
        at += 4
        out = {}
        for _ in range(count):
            partition, code, mark, _, _, aborted = struct.unpack_from(">ihqqqi", data, at)
            at += 34 + 16 * max(aborted, 0) + 4
            size, = struct.unpack_from(">i", data, at)
            at += 4
            out[partition] = (code, mark, data[at:at + max(size, 0)])
            at += max(size, 0)
        return out

    # ---- short forms

    def create_topic(self, name, partitions, configs=None):
        answer = self.call("CreateTopics", 5, {"timeoutMs": 10000, "topics": [{
            "name": name, "numPartitions": partitions, "replicationFactor": 1,
            "configs": [{"name": k, "value": v} for k, v in (configs or {}).items()]}]})
        code = answer["topics"][0]["errorCode"]
        if code:
            raise Refused("CreateTopics", code)

    def producer_id(self):
        answer = self.call("InitProducerId", 1, {"transactionalId": None, "transactionTimeoutMs": 60000})
        if answer["errorCode"]:
            raise Refused("InitProducerId", answer["errorCode"])
        return answer["producerId"], answer["producerEpoch"]

    def ends(self, topic, partitions, timestamp=-1):
        """[log end offset] of the partitions; timestamp -2: log start"""
        answer = self.call("ListOffsets", 3, {"replicaId": -1, "isolationLevel": 0, "topics": [{
            "name": topic,
            "partitions": [{"partitionIndex": p, "timestamp": timestamp} for p in range(partitions)]}]})
        out = {}
        for part in answer["topics"][0]["partitions"]:
            if part["errorCode"]:
                raise Refused("ListOffsets", part["errorCode"])
            out[part["partitionIndex"]] = part["offset"]
        return [out[p] for p in range(partitions)]

    def produce(self, topic, partition, data, acks=-1):
        """Base offset of a batch that the broker took."""
        self.send_produce(topic, partition, data, acks)
        _, code, base = self.receive_produce()
        if code:
            raise Refused("Produce", code)
        return base
