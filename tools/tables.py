# SPDX-License-Identifier: MIT
"""The pages that come from the tables in src/: settings, metrics, the manual page.

Reads the rows of the .def files and of the options table as text, so that `make docs` needs no build.
A row that does not parse, or a line of about.tsv that has no row, stops it.
"""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODES = {"READ_ONLY": "restart", "PER_BROKER": "broker", "CLUSTER_WIDE": "cluster"}
# Kafka changes these while it runs; here a new value takes effect at the next start.
AT_START = {"listeners", "listener.security.protocol.map", "max.connections", "max.connections.per.ip"}
KINDS = {"COUNTER": "counter", "GAUGE": "gauge", "HISTOGRAM": "histogram"}
# A string (or neighbours that make one), NULL, a word or a number.
TOKEN = re.compile(r'((?:"(?:[^"\\]|\\.)*"\s*)+)|([A-Za-z_][A-Za-z0-9_]*|-?\d+)')


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def argument(match):
    if match[1] is None:
        return None if match[2] == "NULL" else match[2]
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match[1])).replace('\\"', '"').replace("\\\\", "\\")


def rows(text, macro, width, opening=r"\("):
    """Every MACRO(...) of text as a list of its arguments; NULL is None."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    found = []
    for start in re.finditer(rf"^\s*{macro}{opening}", text, re.M):
        at, row = start.end(), []
        while True:
            match = TOKEN.match(text, at)
            if not match:
                raise SystemExit(f"{macro} row does not parse: {text[start.start():at + 40]!r}")
            row.append(argument(match))
            at = match.end()
            separator = re.compile(r"\s*([,)}])\s*").match(text, at)
            at = separator.end()
            if separator[1] != ",":
                break
        if len(row) != width:
            raise SystemExit(f"{macro} row with {len(row)} columns: {row}")
        found.append(row)
    return found


def about():
    """(kind, name) -> sentence"""
    lines = [x.split("\t") for x in read("src", "config", "about.tsv").splitlines() if x and x[0] != "#"]
    return {(kind, name): sentence for kind, name, sentence in lines}


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def shown(value):
    return "(unset)" if value is None else f"`{value}`" if value != "" else "(empty)"


def allowed(valid):
    return cell(valid) if valid else ""


CONFIG_HEAD = """# Settings

Every setting has one name, the name it has in Kafka where Kafka knows it. A value comes from the first of these
that gives one:

1. an option of the command line (`fluxmq --help`, or the manual page `docs/man/fluxmq.1`),
2. the environment: `FLUXMQ_` and the name in capitals with dots as underscores, `FLUXMQ_LOG_SEGMENT_BYTES=1048576`;
   `FLUXMQ_DATA_DIR` and `RUST_LOG` work too,
3. a file in the form of Kafka's `server.properties` (`--config FILE`),
4. the default.

`fluxmq check-config FILE` says whether a file is good. A name that nobody knows is an error with file, line and the
nearest known name; settings that only mean something inside Kafka are accepted and named in one warning line.

Settings with "cluster" or "broker" in the column *change* can be changed while the broker runs, for all brokers or
for one (`kafka-configs.sh --alter --entity-type brokers`); the others need a restart. A topic's own settings
(`kafka-configs.sh --alter --entity-type topics`) go before the broker's.

## What differs from Kafka's defaults

| setting | here | why |
|---|---|---|
| `num.partitions` | 3 without a settings file, 1 with one that does not say | several consumers can share one |
| `log.dirs` | `./data` | nothing is written outside the directory where it was started |
| `max.connections` | 10000 | memory is bounded |
| `offsets.topic.replication.factor`, `transaction.state.log.*` | 1 | one node |
| `flush.mode` | `group` | acks=all means on disk; `none` gives Kafka's behaviour |

"""

OWN = """## FluxMQ's own

| setting | default | valid | what it does |
|---|---|---|---|
"""
BROKER = """
## Of Kafka's, obeyed

| setting | default | valid | change | what it does |
|---|---|---|---|---|
"""
TOPIC = """
## Of topics, obeyed

| setting | default | valid | the broker's setting | what it does |
|---|---|---|---|---|
"""
KEPT = """
## Of topics, stored and described

They are accepted, checked, stored, and described to those who ask; nothing depends on them in this version.

"""
ACCEPTED = """
## Of Kafka's, accepted

They are checked and described; nothing depends on them in this version.

"""
INTERNAL = """
## Of Kafka's internals

They are accepted so that a Kafka's file can be used as it is, and named in one warning line.

"""


def listing(names):
    return ", ".join(f"`{n}`" for n in sorted(names)) + ".\n"


def config_page():
    settings = rows(read("src", "config", "setting.def"), "SETTING", 8)
    topics = [r for m in ("TOPIC", "OWN_TOPIC") for r in rows(read("src", "config", "resource.def"), m, 5)]
    words = about()
    known = {("own" if s[6] == "0" else "broker", s[0]) for s in settings} | {("topic", t[0]) for t in topics}
    lost = set(words) - known
    if lost:
        raise SystemExit(f"about.tsv: no such setting: {sorted(lost)}")
    text, broker = CONFIG_HEAD + OWN, ""
    for name, _, standard, valid, mode, _, _, _ in sorted(settings):
        if ("own", name) in words:
            text += f"| `{name}` | {shown(standard)} | {allowed(valid)} | {cell(words['own', name])} |\n"
        elif ("broker", name) in words:
            change = "restart" if name in AT_START else MODES[mode]
            broker += (f"| `{name}` | {shown(standard)} | {allowed(valid)} | {change} | "
                       f"{cell(words['broker', name])} |\n")
    text += BROKER + broker + TOPIC
    for name, _, standard, valid, synonyms in sorted(topics):
        if ("topic", name) in words:
            from_broker = ", ".join(f"`{s.strip(' *')}`" for s in synonyms.split(",") if s)
            text += (f"| `{name}` | {shown(standard)} | {allowed(valid)} | {from_broker} | "
                     f"{cell(words['topic', name])} |\n")
    text += KEPT + listing(t[0] for t in topics if ("topic", t[0]) not in words)
    text += ACCEPTED + listing(s[0] for s in settings
                               if s[7] == "0" and s[6] == "1" and ("broker", s[0]) not in words)
    return text + INTERNAL + listing(s[0] for s in settings if s[7] == "1")


METRICS_HEAD = """# Metrics

`http://127.0.0.1:8080/metrics` gives them as Prometheus text (`--metrics-host`, `--metrics-port`; port 0 switches it
off). Counters start at 0 with the process. Counting costs one addition in the thread's own memory; the values are
summed when somebody asks.

| page | what |
|---|---|
| `/metrics` | Prometheus text |
| `/metrics/json`, `/api/metrics` | the same figures as JSON |
| `/health`, `/health/ready` | 200 when clients are served, else 503 |
| `/health/live` | 200 as long as the process answers |
| `/status` | name, version, broker id, cluster id, uptime |
| `/consumer-groups` | groups with state, number of members, lag |
| `/consumer-groups/ID` | one group with its members and committed offsets |
| `/varz`, `/connz`, `/subsz`, `/healthz` | the NATS door, as nats-server has them, for `nats-top -m 8080`, too |

`/connz` knows `offset`, `limit` (1024, at most 8192), `sort` (cid, start, subs, pending, msgs_to, msgs_from,
bytes_to, bytes_from, last, idle, uptime, rtt), `subs=1` and `subs=detail`, `cid`, `auth` and `state`; closed
connections are not kept. `/subsz` knows `subs=1`, `offset`, `limit`, `test=SUBJECT`, and `topics=1`: what became of
each topic's messages.

What is published at the NATS door, and what to a topic that somebody there is subscribed to, adds up at any time:
`fluxmq_live_matched_total` = `fluxmq_live_delivered_total` + `fluxmq_live_dropped_total` (all reasons) +
`fluxmq_live_expired_total` + `fluxmq_live_pending`, where a message counts once for each subscription it is for.
`fluxmq_live_topic_` is the same sum for the subscriptions that get nothing but one topic: of the 100 busiest by name,
of all others together as topic "".

| metric | kind | what |
|---|---|---|
"""


def metrics_page():
    found = {}
    for _, kind, name, text in rows(read("src", "watch", "metric.def"), "METRIC", 4):
        found[name] = (KINDS[kind], text)
    source = "".join(read("src", "http", name) for name in ("metrics.c", "groups.c", "door.c"))
    string = r'"((?:[^"\\]|\\.)*)"'
    for m in re.finditer(rf'add\(t,\s*{string},\s*{string},\s*((?:{string}\s*)+),', source):
        found[m[1]] = (m[2], argument(TOKEN.match(m[3])))
    counters = {r[0]: r for r in rows(read("src", "watch", "metric.def"), "METRIC", 4)}
    for name, of in re.findall(r'\{"(\w+)", WATCH_(\w+)\}', source):
        found[name] = (KINDS[counters[of][1]], f"The same as `{counters[of][2]}`")
    joined = re.sub(r'"\s*\n\s*"', "", source)
    for m in re.finditer(r'# HELP (fluxmq_\w+) ([^"\\]*)\\n# TYPE \w+ (\w+)', joined):
        found[m[1]] = (m[3], m[2])
    if "fluxmq_request_duration_seconds" in source:
        found["fluxmq_request_duration_seconds"] = (
            "histogram", re.search(r'# HELP %s ([A-Z][^"\\]*)\\n', joined)[1])
    return METRICS_HEAD + "".join(f"| `{n}` | {k} | {cell(t)} |\n" for n, (k, t) in sorted(found.items()))


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def verbs():
    """(name, operands, brief, about), in the order of the table"""
    return [(r[0], *r[2:]) for r in rows(read("src", "cli", "verb.def"), "VERB", 5)]


def version():
    return re.search(r"version: '([^']+)'", read("meson.build"))[1]


def verb_page(name, operands, brief, text):
    """The manual page of a verb."""
    options = [r for r in rows(read("src", "cli", "option.def"), "OPTION", 6) if name in r[4].split()]
    page = ('.\\" SPDX-License-Identifier: MIT\n.\\" Made from src/cli/verb.def and option.def by make docs.\n'
            f'.TH FLUXMQ-{name.upper()} 1 "" "fluxmq {version()}" "User commands"\n.SH NAME\n'
            f"fluxmq\\-{roff(name)} \\- {roff(brief)}\n.SH SYNOPSIS\n.B fluxmq {roff(name)}\n"
            f"[\\fIoption\\fR]... {roff(operands)}\n.SH DESCRIPTION\n{roff(text)}\n.SH OPTIONS\n")
    for _, option, letter, value, _, words in options:
        first = f"{letter}, {option}" if letter else option
        page += f".TP\n.B {roff(first)}{' ' + roff(value) if value else ''}\n{roff(words)}\n"
    page += (".TP\n.B \\-h, \\-\\-help\nprint the options\n.SH EXIT STATUS\n.TP\n.B 0\ndone\n.TP\n.B 1\nfailed; a "
             "sentence on standard error says why\n.TP\n.B 2\na wrong command line\n.TP\n.B 130\nstopped by a "
             "signal before it was done\n")
    if any(r[0] == "server" for r in options):
        page += (".SH ENVIRONMENT\n.TP\n.B NATS_URL, NATS_USER, NATS_PASSWORD, NATS_TOKEN\nwhat the options\n.BR "
                 "\\-\\-server ,\n.BR \\-\\-user ,\n.B \\-\\-password\nand\n.B \\-\\-token\nsay, without them\n")
    return page + ".SH SEE ALSO\n.BR fluxmq (1)\n"


def verb_pages():
    return {f"docs/man/fluxmq-{v[0]}.1": lambda v=v: verb_page(*v) for v in verbs() if v[0] != "help"}


def manual_page():
    source = read("src", "config", "options.c")
    table = source[source.index("options[] = {"):source.index("\n};")]
    text = ('.\\" SPDX-License-Identifier: MIT\n.\\" Made from src/config/options.c by make docs.\n'
            f'.TH FLUXMQ 1 "" "fluxmq {version()}" "User commands"\n.SH NAME\n'
            "fluxmq \\- message broker that Kafka clients use unchanged\n"
            ".SH SYNOPSIS\n.B fluxmq\n[\\fIoption\\fR]...\n"
            ".br\n.B fluxmq\n.I verb\n[\\fIoption\\fR]... [\\fIword\\fR]...\n.SH DESCRIPTION\n"
            "Without a verb it is the server: it stores topics in its data directory and serves Kafka and NATS\n"
            "clients until SIGTERM or SIGINT.\n"
            "With a verb it is a tool, which the page \\fBfluxmq\\-\\fIverb\\fR(1) tells about.\n.SH VERBS\n")
    for name, operands, brief, _ in verbs():
        text += f".TP\n.B {roff(name)} {roff(operands)}\n{roff(brief)}\n"
    text += ".SH OPTIONS\n"
    for name, letter, kind, _, value, words in rows(table, "", 6, r"\{"):
        if kind == "REFUSED":
            continue
        first = f".BR {roff(letter)} ,\\ {roff(name)}" if letter else f".B {roff(name)}"
        text += f".TP\n{first}{' ' + roff(value) if value and not letter else ''}\n"
        text += (f"({roff(value)}) " if value and letter else "") + roff(words) + "\n"
    text += (".SH ENVIRONMENT\n.TP\n.B FLUXMQ_\\fISETTING\\fR\nany setting, in capitals and with dots as underscores:\n"
             "FLUXMQ_LOG_SEGMENT_BYTES sets log.segment.bytes\n.TP\n.B FLUXMQ_DATA_DIR\nthe data directory\n"
             ".TP\n.B RUST_LOG\nleast level of the log\n.P\n"
             "An option goes before the environment, that before the file, that before the default.\n"
             ".SH EXIT STATUS\n.TP\n.B 0\nstopped as it was told to\n.TP\n.B 1\ncould not start, or stopped with data\n"
             "that could not be written\n.TP\n.B 2\na wrong option, variable or settings file\n"
             ".SH FILES\n.TP\n.I ./data\nthe data directory, in the form that Apache Kafka has; one process at a time\n"
             "may use it\n.SH SEE ALSO\ndocs/CONFIG.md has all settings, docs/METRICS.md all metrics.\n")
    return text


PAGES = {"docs/CONFIG.md": config_page, "docs/METRICS.md": metrics_page, "docs/man/fluxmq.1": manual_page,
         **verb_pages()}
