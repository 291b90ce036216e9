# SPDX-License-Identifier: MIT
"""compact_kafka.py KEYED: the same records compacted by us and by a real Kafka leave the same batches and
records; then each goes on with what the other left, and once more they agree."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "harness"))

from broker import KAFKA, Kafka, wait_until  # noqa: E402
from tap import Tap  # noqa: E402

keyed = os.path.abspath(sys.argv[1])
os.environ.setdefault("KAFKA_HEAP", "320M")


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def logs(folder):
    return sorted(glob.glob(os.path.join(folder, "*.log")))


def dump(folder):
    """Batches and records as Kafka's tool prints them, without what may differ: places, sizes, codecs' bytes,
    and when exactly a delete horizon is."""
    text = run(KAFKA, "tool", "DumpLogSegments", "--print-data-log", "--deep-iteration", "--files",
               ",".join(logs(folder)))
    assert "isvalid: false" not in text
    lines = [line for line in text.split("\n") if line.startswith(("baseOffset", "| offset"))]
    lines = [re.sub(r" (position|size|crc): \d+", "", line) for line in lines]
    return [re.sub(r"OptionalLong\[\d+\]", "set", line) for line in lines]


def indexes_fit(folder):
    files = [path for kind in ("index", "timeindex", "txnindex")
             for path in glob.glob(os.path.join(folder, "*." + kind))]
    said = ""
    for options in ([], ["--index-sanity-check"]):
        of_logs = [path for path in files if not path.endswith(".txnindex") or not options]
        said += run(KAFKA, "tool", "DumpLogSegments", *options, "--files", ",".join(of_logs))
    return not re.search("mismatch|exception|error|corrupt|invalid", said, re.IGNORECASE)


def compare(tap, name, ours, kafkas):
    mine, theirs = dump(ours), dump(kafkas)
    different = [pair for pair in zip(mine, theirs) if pair[0] != pair[1]]
    for pair in different[:5]:
        tap.note("\n".join(pair))
    same = len(mine) == len(theirs) and not different
    tap.result(same, f"{name}: the same batches and records", f" ({len(mine)} and {len(theirs)})")
    names = [[os.path.basename(path) for path in logs(folder)] for folder in (ours, kafkas)]
    tap.result(names[0] == names[1], f"{name}: the same segments")
    return mine


def replace(to, source):
    """The partition in `to` holds what is in `source`, under its own topic id."""
    with open(os.path.join(to, "partition.metadata"), encoding="ascii") as file:
        metadata = file.read()
    shutil.rmtree(to)
    shutil.copytree(source, to)
    with open(os.path.join(to, "partition.metadata"), "w", encoding="ascii") as file:
        file.write(metadata)


def clean_up_to(kafka):
    try:
        with open(os.path.join(kafka.data, "cleaner-offset-checkpoint"), encoding="ascii") as file:
            found = re.search(r"^t 0 (\d+)$", file.read(), re.MULTILINE)
    except FileNotFoundError:
        return None
    return int(found.group(1)) if found else None


def compact_by_kafka(kafka, end):
    kafka.start()
    try:
        wait_until(lambda: clean_up_to(kafka) == end, 60, f"Kafka's cleaner at {end}")
    finally:
        kafka.stop()


def aborted(folder):
    return sum(os.path.getsize(path) // 34 for path in glob.glob(os.path.join(folder, "*.txnindex")))


def main():
    tap = Tap()
    base = tempfile.mkdtemp(prefix="fluxmq-compact-")
    kafka = Kafka(os.path.join(base, "kafka"), settings={
        "log.cleaner.backoff.ms": 200, "log.cleaner.dedupe.buffer.size": 20000000,
        "producer.id.expiration.ms": 2147483647})
    ours, theirs = os.path.join(base, "t-0"), os.path.join(kafka.data, "t-0")
    try:
        kafka.start()
        run(KAFKA, "tool", "TopicCommand", "--bootstrap-server", f"127.0.0.1:{kafka.port}", "--create", "--topic", "t",
            "--partitions", "1", *[word for pair in (
                "cleanup.policy=compact", "segment.bytes=1048576", "min.cleanable.dirty.ratio=0.0001",
                "delete.retention.ms=1000", "file.delete.delay.ms=1") for word in ("--config", pair)])
        kafka.stop()
        run(keyed, ours, "fill", "1", "3000")
        replace(theirs, ours)
        before = dump(ours)
        end = int(run(keyed, ours, "compact", "0"))
        compact_by_kafka(kafka, end)
        first = compare(tap, "first pass", ours, theirs)
        tap.result(len(first) < len(before) / 3, "most is gone", f" ({len(before)} lines before)")
        tap.result(indexes_fit(ours), "the indexes fit")
        tap.result(any("deleteHorizonMs: set" in line for line in first), "tombstones have their horizon")
        tap.result(aborted(ours) == aborted(theirs) > 0, "as many aborted transactions are left")
        # Each has what the other made of it, and the same is added to both.
        crossed = os.path.join(base, "crossed")
        shutil.copytree(theirs, crossed)
        replace(theirs, ours)
        shutil.rmtree(ours)
        os.rename(crossed, ours)
        for folder in (ours, theirs):
            run(keyed, folder, "fill", "2", "1500")
        second_end = int(run(keyed, ours, "compact", str(end)))
        compact_by_kafka(kafka, second_end)
        second = compare(tap, "second pass", ours, theirs)
        tap.result(aborted(ours) == aborted(theirs), "as many aborted transactions again",
                   f" ({aborted(ours)} and {aborted(theirs)})")
        tap.result(len(second) > 100, "something is left")
    finally:
        kafka.close()
        shutil.rmtree(base, ignore_errors=True)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


sys.exit(main())
