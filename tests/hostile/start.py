# SPDX-License-Identifier: MIT
"""Places where a broker can't start, and limits it is given: a clear line, and a status."""

import os
import resource
import socket
import struct
import subprocess
import sys
import time

from broker import PATIENCE, FluxMQ, free_port, wait_until
from client import Client, Lost, T, batch
from tap import Skip

API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)


def refused(broker, words, seconds=PATIENCE):
    """The broker ends by itself with a status, having said one line with these words."""
    broker.spawn()
    try:
        status = broker.process.wait(seconds)
    except subprocess.TimeoutExpired:
        broker.kill()
        raise AssertionError("it started: " + broker.tail()) from None
    with open(broker.log, encoding="utf-8", errors="replace") as file:
        said = [line for line in file.read().split("\n") if line]
    complaints = broker.complaints()
    assert not complaints, "\n".join(complaints[:5])
    assert status not in (0, None) and status > 0, f"status {status}: {said}"
    telling = [line for line in said if all(word.lower() in line.lower() for word in words)]
    assert telling, f"no line with {words}: {said}"
    assert len(telling) == 1, f"said more than once: {telling}"
    return telling[0]


def make(given, folder, **more):
    os.makedirs(folder, exist_ok=True)
    return FluxMQ(folder=folder, binary=given.bin, **more)


def port_in_use(options, folder):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        refused(make(options, folder + "/http", options=["--metrics-port", str(port)]),
                [str(port), "in use", "--metrics-port"])
        refused(make(options, folder + "/nats", options=["--nats-port", str(port)]),
                [str(port), "in use", "--nats-port"])
        return refused(make(options, folder, port=port), [str(port), "in use", "--port chooses another"])


def locked_directory(options, folder):
    first = make(options, folder).start()
    try:
        second = make(options, folder)
        second.log += ".second"
        said = refused(second, [first.data, "lock"])
        assert first.alive()
        Client(first.port).close()
        return said
    finally:
        first.close()


def unwritable_directory(options, folder):
    broker = make(options, folder)
    os.makedirs(broker.data)
    os.chmod(broker.data, 0o555)
    os.chmod(folder, 0o755)
    if os.getuid() == 0:
        os.chmod(os.path.dirname(folder), 0o755)
        with open(broker.log, "wb"):
            pass
        if subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "true"], check=False,
                          capture_output=True).returncode:
            raise Skip("root writes everywhere, and setpriv does not work here")
        broker.wrap = ["setpriv", "--reuid=65534", "--clear-groups"]
        if subprocess.run([*broker.wrap, broker.binary, "--version"], check=False, capture_output=True).returncode:
            raise Skip("the program can't be read by another user here")
    return refused(broker, [broker.data, "permission"])


def directory_is_a_file(options, folder):
    broker = make(options, folder)
    with open(broker.data, "w", encoding="ascii") as file:
        file.write("x")
    return refused(broker, [broker.data])


def started_before(options, folder):
    broker = make(options, folder).start()
    assert broker.stop() == 0
    return broker


def another_node(options, folder):
    started_before(options, folder)
    broker = make(options, folder, options=["--broker-id", "7"])
    os.remove(broker.log)
    return refused(broker, ["7", "broker 0", "--broker-id"])


def another_cluster(options, folder):
    """Two directories' files mixed up: the metadata log is of another cluster than meta.properties says."""
    broker = started_before(options, folder)
    path = os.path.join(broker.data, "meta.properties")
    with open(path, encoding="ascii") as file:
        lines = file.read().split("\n")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join("version=9" if line.startswith("version=") else line for line in lines))
    os.remove(broker.log)
    return refused(broker, ["meta.properties", "version"])


def wrong_setting(options, folder):
    return refused(make(options, folder, settings={"log.segment.bytes": "many"}), ["log.segment.bytes", "many"])


def wrong_option(options, folder):
    return refused(make(options, folder, options=["--no-such-option"]), ["--no-such-option"])


def wrong_level(options, folder):
    return refused(make(options, folder, options=["--log-level", "loud"]), ["loud", "debug", "warn"])


def wrong_file(options, folder):
    os.makedirs(folder)
    path = os.path.join(folder, "server.properties")
    with open(path, "w", encoding="ascii") as file:
        file.write("num.partitions=2\nlog.segmnt.bytes=1048576\n")
    return refused(make(options, folder, options=["--config", path]), [path + ":2", "log.segment.bytes"])


def few_descriptors(options, folder):
    """With far too few files it does not start, or it refuses connections and lives; one line says so."""
    def limit(count):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    broker = make(options, folder)
    with open(broker.log, "ab") as log:
        broker.process = subprocess.Popen(broker.command(), env=broker.environment(), stdout=log, stderr=log,
                                          preexec_fn=limit(16))
    try:
        status = broker.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        broker.kill()
        raise AssertionError("it started with 16 files: " + broker.tail()) from None
    assert status > 0, f"status {status}: {broker.tail()}"
    said = broker.tail(1)
    assert "file" in said.lower() and ("ulimit" in said or "LimitNOFILE" in said), f"it does not say what to do: {said}"
    return said


def running_out_of_descriptors(options, folder):
    """With 300 files and 600 peers: some are closed, the rest served, and none spins."""
    broker = make(options, folder)
    with open(broker.log, "ab") as log:
        broker.process = subprocess.Popen(
            broker.command(), env=broker.environment(), stdout=log, stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)))
    try:
        try:
            broker.wait_ready(5)
        except RuntimeError:
            said = broker.tail(1)
            assert "file" in said.lower(), said
            return "does not start with 300: " + said
        peers = [socket.create_connection(("127.0.0.1", broker.port), PATIENCE) for _ in range(600)]
        cpu = broker.cpu_seconds()
        time.sleep(1)
        used = broker.cpu_seconds() - cpu
        assert broker.alive(), broker.tail()
        for peer in peers:
            peer.close()
        wait_until(lambda: serves(broker), 5, "an answer after the flood")
        assert used < 0.3, f"{used:.2f} s of CPU in a second without files"
        return f"{used * 100:.0f} % CPU meanwhile"
    finally:
        broker.close()


def stop_while_partitions_are_made(options, folder):
    """The thread that makes them waits for threads that have ended; nothing is half there afterwards."""
    broker, count = make(options, folder).start(), 1500
    try:
        client = Client(broker.port)
        wanted = {"name": "many", "numPartitions": count, "replicationFactor": 1, "assignments": [], "configs": []}
        client.send_frame("CreateTopics", 5, T.encode("CreateTopics", "request", 5, {
            "timeoutMs": 60000, "validateOnly": False, "topics": [wanted]}))
        wait_until(lambda: len(os.listdir(broker.data)) > 50, 10, "the first partitions")
        assert broker.stop(4 * PATIENCE) == 0, f"it does not end: {broker.tail()}"
        client.close()
        broker.start()
        client = Client(broker.port)
        topic = client.call("Metadata", 1, {"topics": [{"name": "many"}]})["topics"][0]
        assert (topic["errorCode"], len(topic["partitions"])) in ((0, count), (3, 0)), topic["errorCode"]
        client.close()
        broker.end_well()
    finally:
        broker.close()


def serves(broker):
    try:
        client = Client(broker.port, 1)
        client.call("ApiVersions", 0, {})
        client.close()
        return True
    except (Lost, OSError):
        return False


def connection_limit(options, folder):
    broker = make(options, folder, options=["--max-connections", "20"]).start()
    try:
        peers = [socket.create_connection(("127.0.0.1", broker.port), PATIENCE) for _ in range(60)]
        answered = closed = 0
        for peer in peers:
            try:
                peer.sendall(API_VERSIONS)
                peer.settimeout(PATIENCE)
                if peer.recv(4):
                    answered += 1
                else:
                    closed += 1
            except OSError:
                closed += 1
        # The connection by which the start was noticed may still count.
        assert answered in (19, 20), f"{answered} answered, {closed} closed of 60, limit 20"
        for peer in peers:
            peer.close()
        wait_until(lambda: serves(broker), 5, "a place that became free")
        with open(broker.log, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if "max.connections" in line or "max-connections" in line]
        # One of a kind in ten seconds; they may have ended in between (watch/).
        assert 1 <= len(lines) <= 2, f"40 refused connections make {len(lines)} lines: {lines}"
        return lines[0].strip()
    finally:
        broker.close()


def a_port_taken_meanwhile(options, folder):
    """Two listeners on one port: the second can be bound as long as none listens, and fails then."""
    port = free_port()
    broker = make(options, folder, port=port, settings={
        "listener.security.protocol.map": "IN:PLAINTEXT,OUT:PLAINTEXT",
        "listeners": f"IN://127.0.0.1:{port},OUT://127.0.0.1:{port}"})
    broker.command = lambda: [broker.binary, "--data-dir", broker.data, "--metrics-port", "0", "--nats-port", "0"]
    return refused(broker, ["listen", "use"])


def coordinator(client):
    """The reply, when there is one: its topic may be on its way."""
    found = client.call("FindCoordinator", 1, {"key": "g", "keyType": 0})
    return found if found["errorCode"] == 0 else None


def two_listeners(options, folder):
    """Each client is told to go on where it came in."""
    first = free_port()
    second = free_port(but=[first])
    broker = make(options, folder, port=first, settings={
        "listener.security.protocol.map": "IN:PLAINTEXT,OUT:PLAINTEXT",
        "listeners": f"IN://127.0.0.1:{first},OUT://127.0.0.1:{second}",
        "advertised.listeners": "OUT://out.example:7777"})
    broker.command = lambda: [broker.binary, "--data-dir", broker.data, "--metrics-port", "0", "--nats-port", "0"]
    broker.start()
    try:
        for port, told in ((broker.port, ("127.0.0.1", broker.port)), (second, ("out.example", 7777))):
            client = Client(port)
            answers = client.call("Metadata", 1, {"topics": []})["brokers"], client.call("DescribeCluster", 0, {
                "includeClusterAuthorizedOperations": False})["brokers"]
            find = wait_until(lambda: coordinator(client), 5, "a coordinator")
            for node in (*answers[0], *answers[1], find):
                assert (node["host"], node["port"]) == told, f"port {port} is told {node}"
            client.close()
        return "both"
    finally:
        broker.close()


def clean_stop(options, folder):
    """SIGTERM and SIGINT: status 0, in under two seconds, and what was there is there."""
    import signal  # pylint: disable=import-outside-toplevel
    broker = make(options, folder).start()
    try:
        client = Client(broker.port)
        client.create_topic("kept", 1)
        client.produce("kept", 0, batch([b"a", b"b"]), 1)
        client.close()
        times = []
        for number in (signal.SIGTERM, signal.SIGINT):
            tries = []  # what a busy machine or disk adds is not the broker's
            while not tries or tries[-1] >= 2:
                assert len(tries) < 3, f"signal {number}: {tries} s"
                began = time.monotonic()
                broker.process.send_signal(number)
                status = broker.process.wait(PATIENCE)
                tries.append(time.monotonic() - began)
                assert status == 0, f"signal {number}: status {status}: {broker.tail()}"
                broker.start()
                client = Client(broker.port)
                assert client.ends("kept", 1) == [2]
                client.close()
            times += tries
        return ", ".join(f"{seconds * 1000:.0f} ms" for seconds in times)
    finally:
        broker.close()


def quick_start(options, folder):
    """From the start to the first answered request, on an empty directory."""
    said = []
    for number in range(3):  # what a busy machine or disk adds is not the broker's
        took, about = time_of_start(options, os.path.join(folder, str(number)))
        said.append(about)
        if took < 1 or options.light:
            return "; ".join(said)
    raise AssertionError("; ".join(said))


def time_of_start(options, folder):
    broker = make(options, folder)
    began = time.monotonic()
    broker.spawn()
    try:
        while not serves(broker):
            assert broker.alive(), broker.tail()
            assert time.monotonic() - began < PATIENCE
        took = time.monotonic() - began
        resident, anonymous = broker.status("VmRSS"), broker.status("RssAnon")
        return took, f"{took * 1000:.1f} ms, {resident} kB resident, {anonymous} kB of it anonymous"
    finally:
        broker.close()


CASES = [(name, function) for name, function in list(globals().items()) if name in """
port_in_use locked_directory unwritable_directory directory_is_a_file another_node another_cluster wrong_setting
wrong_option wrong_level wrong_file few_descriptors running_out_of_descriptors connection_limit two_listeners
a_port_taken_meanwhile clean_stop stop_while_partitions_are_made quick_start""".split()]
assert sys.version_info >= (3, 9)
