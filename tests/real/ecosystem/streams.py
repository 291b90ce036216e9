# SPDX-License-Identifier: MIT
"""Kafka Streams, exactly once: every click is joined and counted once, whoever is killed meanwhile."""

import collections
import os
import shutil
import subprocess
import time

from hand import KAFKA, Java, equal, run_suite, wait_until

PRODUCTS, CATEGORIES = 30, 5
CLICKS, STEP_MS, WINDOW_MS = 4800, 5, 5000
PREFIX = "shop"
RESULT_SECONDS = 120


def category(product):
    return f"category-{product % CATEGORIES}"


class Shop:
    def __init__(self, suite):
        self.suite = suite
        self.broker = suite.broker()
        self.hand = suite.hand(self.broker)
        self.eye = suite.hand(self.broker, "eye")
        self.begin = int(time.time()) // 5 * 5000 - CLICKS * STEP_MS
        self.instances = {}
        self.generation = 0

    def start(self, name):
        self.generation += 1
        instance = self.suite.own(Java(self.suite.folder, f"{name}-{self.generation}", "Application",
                                       f"127.0.0.1:{self.broker.port}", PREFIX, self.state(name)))
        self.instances[name] = instance
        return instance

    def state(self, name):
        return os.path.join(self.suite.folder, "state-" + name)

    def prepare(self):
        for name in ("products", "clicks", "joined", "totals", "windows"):
            self.hand("topic", f"{PREFIX}-{name}", 3)
        for product in range(PRODUCTS):
            self.hand("send", f"{PREFIX}-products", "any", self.begin - 1000, f"product-{product}",
                      category(product))

    def running(self, *names):
        for name in names:
            self.instances[name].until("state RUNNING")

    def clicks(self, part, parts, wait=True):
        first, last = CLICKS * part // parts, CLICKS * (part + 1) // parts
        self.hand.begin("clicks", f"{PREFIX}-clicks", first, last, self.begin, STEP_MS, PRODUCTS)
        if wait:
            self.hand.end()

    def read(self, name):
        return self.eye("read", f"{PREFIX}-{name}", "read_committed")

    def progress(self, count):
        """Waits until so many joined records are committed: then the work is in full swing."""
        wait_until(lambda: len(self.read("joined")) >= count, RESULT_SECONDS, f"{count} joined records")

    def kill_instance(self):
        self.clicks(0, 4)
        self.progress(100)
        self.clicks(1, 4, wait=False)
        self.progress(CLICKS // 4 + 100)
        self.instances["one"].kill()
        self.hand.end()

    def restart_instance(self):
        self.start("one")
        self.running("one")
        self.clicks(2, 4)
        self.progress(CLICKS * 3 // 4)

    def kill_broker(self):
        self.clicks(3, 4, wait=False)
        self.progress(CLICKS * 3 // 4 + 100)
        self.broker.kill()
        self.broker.start()
        self.hand.end()
        self.progress(CLICKS)

    def check_joined(self):
        rows = self.read("joined")
        seen = collections.Counter(row[4] for row in rows)
        wanted = {f"product-{i % PRODUCTS} {i} {category(i % PRODUCTS)}": 1 for i in range(CLICKS)}
        lost = sorted(set(wanted) - set(seen))
        twice = sorted(value for value, count in seen.items() if count > 1)
        equal(([], [], CLICKS), (lost[:5], twice[:5], len(rows)), "lost, twice, all")

    def counts(self, name, wanted):
        """Each key's counts must be 1, 2, 3 ... to the number of its clicks."""
        total = sum(wanted.values())
        wait_until(lambda: len(self.read(name)) >= total, RESULT_SECONDS, f"{total} counts in {name}")
        got = collections.defaultdict(list)
        for row in self.read(name):
            got[row[3]].append(int(row[4]))
        for key, count in wanted.items():
            equal(list(range(1, count + 1)), got.pop(key, []), f"{name} of {key}")
        equal({}, dict(got), "other keys of " + name)

    def check_totals(self):
        self.counts("totals", collections.Counter(f"product-{i % PRODUCTS}" for i in range(CLICKS)))

    def check_windows(self):
        self.counts("windows", collections.Counter(
            f"{category(i % PRODUCTS)}@{(self.begin + i * STEP_MS) // WINDOW_MS * WINDOW_MS}"
            for i in range(CLICKS)))

    def check_purged(self):
        """Streams deletes what it has read from the topics that it wrote for itself."""
        found = [name for name, _ in self.hand("topics") if name.endswith("-repartition")]
        equal(2, len(found), "repartition topics")
        for name in found:
            wait_until(lambda name=name: any(int(first) > 0 for _, first in self.hand("start", name)),
                       RESULT_SECONDS, f"records of {name} deleted")

    def check_changelogs(self):
        names = [name for name, _ in self.hand("topics") if name.endswith("-changelog")]
        policies = {name.rsplit("-", 2)[1]: self.hand.config(name).get("cleanup.policy") for name in names}
        equal({"products": "compact", "totals": "compact", "windows": "compact,delete"}, policies, "policies")

    def restore(self):
        """An instance alone, with nothing on its disk, has the state out of the changelogs."""
        for name in ("one", "two"):
            equal(0, self.instances[name].close(), f"status of {name}")
            shutil.rmtree(self.state(name))
        alone = self.start("alone")
        self.running("alone")
        alone.write("query")
        totals = sorted(line for line in alone.until("done") if line.startswith("total "))
        equal(sorted(f"total product-{p} {CLICKS // PRODUCTS}" for p in range(PRODUCTS)), totals, "state")
        equal(0, alone.close(), "status")

    def reset(self):
        """Kafka's tool makes the application begin anew: its topics go, its offsets are at the begin."""
        done = subprocess.run([KAFKA, "tool", "StreamsResetter", "--bootstrap-server", f"127.0.0.1:{self.broker.port}",
                               "--application-id", PREFIX + "-application", "--force",
                               "--input-topics", f"{PREFIX}-clicks,{PREFIX}-products"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        equal(0, done.returncode, "status of the tool, which said " + done.stdout[-500:])
        wait_until(lambda: not [name for name, _ in self.hand("topics") if "-application-" in name],
                   RESULT_SECONDS, "the application's own topics are gone")
        offsets = {(topic, offset) for topic, _, offset in self.hand("committed", PREFIX + "-application")
                   if "-application-" not in topic}
        equal({(PREFIX + "-clicks", "0"), (PREFIX + "-products", "0")}, offsets, "committed offsets")


def body(suite):
    shop = Shop(suite)
    suite.case("topics and a table", shop.prepare)
    shop.start("one")
    shop.start("two")
    suite.case("two instances run", shop.running, "one", "two")
    suite.case("one instance is killed at work", shop.kill_instance)
    suite.case("it comes back", shop.restart_instance)
    suite.case("the broker is killed and comes back", shop.kill_broker)
    suite.case("every click is joined with its product once", shop.check_joined)
    suite.case("counts of products: none lost, none twice", shop.check_totals)
    suite.case("counts of windows: none lost, none twice", shop.check_windows)
    suite.case("repartition topics are purged", shop.check_purged)
    suite.case("changelogs are compacted", shop.check_changelogs)
    suite.case("state comes back from the changelogs alone", shop.restore)
    suite.case("the application is reset by Kafka's tool", shop.reset)


def streams(run):
    run_suite(run, "streams", body)
