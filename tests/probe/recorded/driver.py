# SPDX-License-Identifier: MIT
"""Connections, record batches and normalised recording for the probes."""
import base64, gzip, json, os, random, re, socket, struct, time, zlib
from codec import Tables
from loglist import batches as parse_batches, crc32c

T0 = 1700000000000   # timestamps of produced records
ZERO_ID = "A" * 22
T = Tables()


# ---- record batches
def zz(v):
    v = (v << 1) ^ (v >> 63)
    v &= (1 << 64) - 1
    o = bytearray()
    while v >= 128:
        o.append(v & 127 | 128)
        v >>= 7
    o.append(v)
    return bytes(o)


def record(i, ts, key, value, headers=()):
    b = b"\0" + zz(ts) + zz(i)
    for x in (key, value):
        b += zz(-1) if x is None else zz(len(x)) + x
    b += zz(len(headers))
    for k, v in headers:
        b += zz(len(k)) + k + (zz(-1) if v is None else zz(len(v)) + v)
    return zz(len(b)) + b


def batch(recs=1, base=0, pid=-1, epoch=-1, seq=-1, txn=False, control=False, codec=0, ts=T0, magic=2, crc=None, count=None, last=None, append=False, attrs=0, leader_epoch=-1):
    """recs: a number, or a list of values / (key, value) / (key, value, timestamp)"""
    if isinstance(recs, int):
        recs = [(b"k%d" % i, b"v%d" % i) for i in range(recs)]
    recs = [(None, r) if not isinstance(r, tuple) else r for r in recs]
    tss = [r[2] if len(r) > 2 else ts + i for i, r in enumerate(recs)]
    t0 = tss[0] if tss else -1
    body = b"".join(record(i, tss[i] - t0, r[0], r[1], r[3] if len(r) > 3 else ()) for i, r in enumerate(recs))
    if codec == 1:
        body = gzip.compress(body, mtime=0)
    n = len(recs) if count is None else count
    a = codec | (8 if append else 0) | (16 if txn else 0) | (32 if control else 0) | attrs
    tail = struct.pack(">hiqqqhii", a, (len(recs) - 1) if last is None else last, t0, max(tss) if tss else -1, pid, epoch, seq, n) + body
    c = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base, len(tail) + 9, leader_epoch, magic, c) + tail


def old_batch(magic, key=b"k", value=b"v", ts=T0, codec=0):
    b = struct.pack(">bb", magic, codec) + (struct.pack(">q", ts) if magic else b"")
    for x in (key, value):
        b += struct.pack(">i", -1) if x is None else struct.pack(">i", len(x)) + x
    b = struct.pack(">I", zlib.crc32(b)) + b
    return struct.pack(">qi", 0, len(b)) + b


# ---- one connection
class Closed(Exception):
    pass


class Silence(Exception):
    pass


SILENCE, PATIENCE = 8, 60   # seconds


def wait(condition):
    """Asks until it holds: what is waited for is another thread's doing."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("waited in vain")
        time.sleep(0.02)


class Conn:
    def __init__(self, env, timeout=PATIENCE):
        self.env, self.corr = env, 100
        self.s = socket.create_connection((env.host, env.port), timeout)
        self.s.settimeout(timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def raw(self, b):
        try:
            self.s.sendall(b)
        except OSError:
            pass

    def frame(self, api, ver, body, corr, client="probe", header=None, tags=None):
        hv = header if header is not None else T.head.get((api, "request", ver), 1)
        h = {"requestApiKey": T.keys[api], "requestApiVersion": ver, "correlationId": corr, "clientId": client}
        if tags:
            h["_unknownTags"] = tags
        hb = T.encode("RequestHeader", "header", hv, h)
        bb = body if isinstance(body, bytes) else T.encode(api, "request", ver, body)
        return struct.pack(">i", len(hb) + len(bb)) + hb + bb

    def send(self, api, ver, body, **kw):
        self.corr += 1
        self.raw(self.frame(api, ver, body, kw.pop("corr", self.corr), **kw))
        return self.corr

    def read_n(self, n):
        b = b""
        while len(b) < n:
            try:
                x = self.s.recv(n - len(b))
            except socket.timeout:
                raise Silence()
            except OSError:
                raise Closed()
            if not x:
                raise Closed()
            b += x
        return b

    def recv_raw(self):
        n = struct.unpack(">i", self.read_n(4))[0]
        return self.read_n(n)

    def recv(self, api, ver):
        """(correlation id, response)"""
        b = self.recv_raw()
        hv = T.head[api, "response", ver]
        h, p = T.decode("ResponseHeader", "header", hv, b, rest=True)
        return h["correlationId"], T.decode(api, "response", ver, b[p:])

    def call(self, api, ver, body, **kw):
        c = self.send(api, ver, body, **kw)
        got, r = self.recv(api, ver)
        return r

    def close(self):
        self.s.close()

    def state(self, wait):
        """'open' or 'closed', seen from this side"""
        self.s.settimeout(self.env.patience(wait))
        try:
            return "closed" if self.s.recv(1) == b"" else "data"
        except socket.timeout:
            return "open"
        except OSError:
            return "closed"


TEXT = {"errorMessage", "batchIndexErrorMessage", "acknowledgeErrorMessage", "statusDetail"}
NODE = {"nodeId", "leaderId", "brokerId", "controllerId", "leader", "voterId", "replicaId", "preferredReadReplica"}
NODES = {"replicaNodes", "isrNodes", "offlineReplicas", "replicas", "isr", "eligibleLeaderReplicas", "lastKnownElr", "brokerIds"}
UNORDERED = {"activeProducers", "members", "partitionResponses", "resultsByPartition", "configResources", "replicaElectionResults", "transactionStates", "activeSubscriptions"}
TIME = {"logAppendTimeMs", "timestamp", "maxTimestamp", "baseTimestamp", "lastTimestamp", "transactionStartTimeMs", "startTimestamp", "lastFetchTimestamp", "lastCaughtUpTimestamp", "deleteHorizon", "issueTimestampMs", "expiryTimestampMs"}


class Env:
    def __init__(self, host, port, out, wanted=None):
        self.host, self.port, self.out = host, port, out
        self.run = "%06x" % random.SystemRandom().randrange(1 << 24)
        self.subs, self.ints, self.counts, self.unsupported, self.lines = {}, {}, {}, 0, 0
        self.conns, self.sorting = [], ""
        self.wanted = wanted or {}   # (probe, step) -> the recorded answer
        self.subs[self.run] = "$RUN"
        c = Conn(self)
        r = c.call("ApiVersions", 4, {"clientSoftwareName": "probe", "clientSoftwareVersion": "1"})
        self.apis = {k["apiKey"]: (k["minVersion"], k["maxVersion"]) for k in r["apiKeys"]}
        m = c.call("Metadata", 12, {"topics": []})
        self.cluster = m["clusterId"]
        self.node = m["brokers"][0]["nodeId"]
        self.nhost, self.nport = m["brokers"][0]["host"], m["brokers"][0]["port"]
        if self.cluster:
            self.subs[self.cluster] = "$CLUSTER"
        self.main = c
        self.name, self.step, self.what = "", 0, ""

    def warm(self):
        """have the internal topics made, so that the first probes do not meet a coordinator that is not there yet"""
        kinds = [("g", 0)] if self.supports("FindCoordinator", 4) else []
        if self.supports("EndTxn", 4):
            kinds.append(("t", 1))
        if self.supports("ShareFetch", 1):
            kinds.append(("g:AAAAAAAAAAAAAAAAAAAAZw:0", 2))
        for key, kind in kinds:
            for _ in range(100):
                r = self.q("FindCoordinator", 6 if kind == 2 else 4, {"coordinatorKeys": [key], "keyType": kind})
                if all(c["errorCode"] in (0, 42) for c in r["coordinators"]):
                    break
                time.sleep(0.2)
        for _ in range(100 if self.supports("EndTxn", 4) else 0):
            if self.q("InitProducerId", 4, {"transactionalId": "warm-" + self.run, "transactionTimeoutMs": 1000})["errorCode"] == 0:
                break
            time.sleep(0.2)

    def patience(self, seconds):
        """how long to wait for the next answer: where one was recorded, as long as a busy machine may need"""
        return seconds if self.wanted.get((self.name, self.step + 1), "silence") == "silence" else PATIENCE

    def supports(self, api, ver):
        lo, hi = self.apis.get(T.keys[api], (0, -1))
        return lo <= ver <= hi

    # -- names
    def n(self, s):
        return s + "-" + self.run

    def remember(self, value, kind):
        """put a placeholder for a value the broker chose"""
        if isinstance(value, int):
            if value < 0 or (kind, value) in self.ints or (value == 0 and kind != "PID"):
                return value
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.ints[kind, value] = "$%s%d" % (kind, self.counts[kind])
            return value
        if not value or len(value) < 20 or value == ZERO_ID or value in self.subs or self.run in value:
            return value
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.subs[value] = "$%s%d" % (kind, self.counts[kind])
        return value

    def norm(self, v, key="", records=False):
        if isinstance(v, dict):
            bad = v.get("errorCode", 0) != 0
            return {k: (x if bad and k == "producerId" and x == 0 else self.norm(x, k)) for k, x in v.items()}
        if isinstance(v, list):
            if key in NODES:
                return ["$NODE" if x == self.node else x for x in v]
            v = [self.norm(x, key) for x in v]
            if self.sorting and (key in UNORDERED or key == "groups" or (key == "partitions" and self.sorting in ("ListOffsets", "DescribeLogDirs", "DescribeTransactions")) or (key == "entries" and self.sorting == "DescribeClientQuotas") or (key == "results" and v and isinstance(v[0], dict) and "groupId" in v[0])):
                v.sort(key=lambda x: json.dumps(x, sort_keys=True))   # the broker gives these in no particular order
            return v
        if isinstance(v, bytes):
            return v.decode("latin-1")
        if isinstance(v, bool) or v is None:
            return v
        if isinstance(v, int):
            if key in NODE:
                return "$NODE" if v == self.node else v
            if key == "port":
                return "$PORT" if v == self.nport else v
            if key in TIME and v > 1 and abs(v - time.time() * 1000) < 86400000 * 2:
                return "$NOW"
            if key in ("totalBytes", "usableBytes") and v > 0:
                return "$BYTES"
            if key == "producerId":
                return self.ints.get(("PID", v), v)
            if key == "sessionId":
                return self.ints.get(("SESSION", v), v)
            if key in ("finalizedFeaturesEpoch", "metadataOffset", "subscriptionId"):
                return "$EPOCH"
            return v
        if isinstance(v, str):
            if key in TEXT and v and v != "NONE":
                return "$TEXT"
            if key == "host" and v == self.nhost:
                return "$HOST"
            if key == "logDir" and v:
                return "$DIR"
            for a, b in self.subs.items():
                if isinstance(a, str) and a in v:
                    v = v.replace(a, b)
            if key == "clientHost":
                return "$CLIENTHOST"
            return v
        return v

    def records(self, v):
        """replace record bytes by what is in them"""
        if isinstance(v, dict):
            return {k: (self.rec(x) if k == "records" and (isinstance(x, (str, bytes)) or x is None) else self.records(x)) for k, x in v.items()}
        if isinstance(v, list):
            return [self.records(x) for x in v]
        return v

    def rec(self, x):
        if x is None:
            return None
        b = x if isinstance(x, bytes) else base64.b64decode(x)
        bs, used = parse_batches(b)
        keep = ("baseOffset", "lastOffset", "leaderEpoch", "magic", "size", "count", "attributes", "codec", "timestampType", "transactional", "control", "controlType", "baseTimestamp", "maxTimestamp", "producerId", "producerEpoch", "baseSequence", "crcOk")
        o = {"bytes": len(b), "batches": [{k: q[k] for k in keep if k in q} for q in bs]}
        if used != len(b):
            o["partialBytes"] = len(b) - used
        return o

    def put(self, api, ver, request, response, **more):
        self.step += 1
        o = {"probe": self.name, "step": self.step, "api": api, "version": ver}
        if self.what:
            o["what"] = self.what
            self.what = ""
        self.sorting = ""
        o["request"] = self.norm(self.records(request)) if isinstance(request, (dict, list)) else request
        self.sorting = api
        o["response"] = self.norm(self.records(response)) if isinstance(response, (dict, list)) else response
        o.update(more)
        self.out.write(json.dumps(o, ensure_ascii=False) + "\n")
        self.out.flush()
        self.lines += 1

    def conn(self):
        c = Conn(self)
        self.conns.append(c)
        return c

    def x(self, api, ver, body, conn=None, what="", learn=None, force=False, note=None, timed=None, until=None, **kw):
        """one exchange, recorded; learn: function(response) run before it is written;
        until: sent again every 100 ms, a minute long, till it holds of the response; only the last one is recorded"""
        self.what = what or self.what
        if not force and not self.supports(api, ver):
            self.unsupported += 1
            self.put(api, ver, body, "unsupported")
            return None
        own = conn is None
        c = conn or Conn(self)
        c.s.settimeout(self.patience(SILENCE))
        t = time.monotonic()
        try:
            r = c.call(api, ver, body, **kw)
            while until and not until(r) and time.monotonic() - t < PATIENCE and "'errorCode': 35" not in str(r):
                time.sleep(0.1)
                r = c.call(api, ver, body, **kw)
        except Closed:
            self.put(api, ver, body, "closed")
            return None
        except Silence:
            self.put(api, ver, body, "silence")
            return None
        except Exception as e:
            self.put(api, ver, body, "undecodable: %s" % e)
            return None
        finally:
            if own:
                c.close()
        ms = (time.monotonic() - t) * 1000
        if learn:
            try:
                learn(r)
            except Exception as e:
                self.put(api, ver, body, r, problem="learn: %r" % e)
                return r
        shown = note(r) if note else r
        if timed is not None:
            self.put(api, ver, body, shown, waited=ms >= timed)
        else:
            self.put(api, ver, body, shown)
        return r

    # -- quiet helpers for setting up
    def q(self, api, ver, body):
        lo, hi = self.apis.get(T.keys[api], (0, -1))
        ver = min(ver, hi)
        return self.main_call(api, ver, body)

    def main_call(self, api, ver, body):
        try:
            return self.main.call(api, ver, body)
        except (Closed, Silence):
            self.main = Conn(self)
            return self.main.call(api, ver, body)

    def topic(self, name, parts=1, **cfg):
        """create a topic, quietly; returns (name, id)"""
        nm = self.n(name)
        cfg.setdefault("retention_ms", "-1")
        cfg.setdefault("segment_ms", "315360000000")   # records are dated 2023, transaction markers are not
        r = self.q("CreateTopics", 7, {"topics": [{"name": nm, "numPartitions": parts, "replicationFactor": 1, "configs": [{"name": k.replace("_", "."), "value": v} for k, v in cfg.items()]}], "timeoutMs": 10000})
        t = r["topics"][0]
        if t["errorCode"]:
            raise RuntimeError("create %s: %s %s" % (nm, t["errorCode"], t.get("errorMessage")))
        self.subs[t["topicId"]] = "$ID(%s)" % name
        for _ in range(100):
            m = self.q("Metadata", 12, {"topics": [{"name": nm}], "allowAutoTopicCreation": False})["topics"][0]
            if m["errorCode"] == 0 and len(m["partitions"]) == parts and all(p["errorCode"] == 0 for p in m["partitions"]):
                # metadata names the leader a little before the leader takes requests (6 NOT_LEADER_OR_FOLLOWER till then)
                r = self.q("ListOffsets", 7, {"replicaId": -1, "topics": [{"name": nm, "partitions": [{"partitionIndex": p, "timestamp": -1} for p in range(parts)]}]})
                if all(p["errorCode"] == 0 for p in r["topics"][0]["partitions"]):
                    break
            time.sleep(0.05)
        return nm, t["topicId"]

    def produce(self, tid, part, b, acks=-1, txn=None, ver=13):
        key = {"topicId": tid} if ver >= 13 else {"name": tid}
        r = self.q("Produce", ver, {"transactionalId": txn, "acks": acks, "timeoutMs": 5000, "topicData": [dict(key, partitionData=[{"index": part, "records": b}])]})
        p = r["responses"][0]["partitionResponses"][0]
        if p["errorCode"]:
            raise RuntimeError("produce: %s" % p)
        return p["baseOffset"]
