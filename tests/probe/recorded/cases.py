# SPDX-License-Identifier: MIT
"""The probes. Each is a function of the environment; what it sends with e.x() is recorded."""
import base64, struct, time
from driver import *
from codec import uuid_bytes

ALL = []
NOID = "AAAAAAAAAAAAAAAAAAAAZw"    # a topic id that nobody has
ZERO = "AAAAAAAAAAAAAAAAAAAAAA"


def probe(name):
    def d(f):
        ALL.append((name, f))
        return f
    return d


def b64(b):
    return base64.b64encode(b).decode()


# ================================================================ frames and versions
@probe("api-versions")
def _(e):
    for v in (0, 1, 2, 3, 4):
        e.x("ApiVersions", v, {"clientSoftwareName": "probe", "clientSoftwareVersion": "1.0"} if v >= 3 else {}, note=(None if v == 4 else lambda r: {**r, "apiKeys": "%d entries" % len(r["apiKeys"])}))
    for nm, ver, w in (("", "1", "empty software name"), ("probe", "", "empty software version"), ("bad name!", "1", "bad characters in the software name"), ("-x", "1", "name starts with a dash"), ("a.b-c", "1.0-rc1", "dots and dashes inside")):
        e.x("ApiVersions", 3, {"clientSoftwareName": nm, "clientSoftwareVersion": ver}, what=w, note=lambda r: {**r, "apiKeys": "%d entries" % len(r["apiKeys"])})


def raw_versions(e, ver, what, body=b""):
    c = e.conn()
    h = struct.pack(">hhih", 18, ver, 7, 1) + b"p"
    c.raw(struct.pack(">i", len(h) + len(body)) + h + body)
    try:
        b = c.recv_raw()
        r = {"correlationId": struct.unpack_from(">i", b)[0], "decodedAs": "ApiVersions v0", **T.decode("ApiVersions", "response", 0, b[4:])}
    except Closed:
        r = "closed"
    except Exception as x:
        r = "undecodable: %s" % x
    e.what = what
    e.put("ApiVersions", ver, {"raw": (h + body).hex()}, r)
    if r != "closed":
        e.what = "the connection after it"
        e.put("ApiVersions", 0, {}, "answered" if c.call("ApiVersions", 0, {}) else "")
    c.close()


@probe("api-versions-unsupported")
def _(e):
    raw_versions(e, 127, "version 127", b"\0\2p\0021\0")
    raw_versions(e, 5, "first version above the range", b"\0\2p\0021\0")
    raw_versions(e, -1, "version -1")
    raw_versions(e, 3, "v3 with an empty body")


def raw_req(e, what, key, ver, body, hv=1, wait=1.5, api="raw"):
    c = e.conn()
    h = struct.pack(">hhih", key, ver, 9, 1) + b"p" + (b"\0" if hv == 2 else b"")
    c.raw(struct.pack(">i", len(h) + len(body)) + h + body)
    s = c.state(wait)
    e.what = what
    e.put(api, ver, {"apiKey": key, "body": body.hex()}, {"open": "silence", "data": "answered", "closed": "closed"}[s])
    c.close()


@probe("unsupported")
def _(e):
    raw_req(e, "Metadata above its range", 3, 99, b"\1\0\0\0", 2)
    raw_req(e, "Metadata version -1", 3, -1, b"\0\0\0\0")
    raw_req(e, "Produce v2: inside the advertised range, below the supported one", 0, 2, struct.pack(">hii", 1, 1000, 0))
    raw_req(e, "Produce v0", 0, 0, struct.pack(">hii", 1, 1000, 0))
    raw_req(e, "Fetch v3", 1, 3, struct.pack(">iiiii", -1, 0, 0, 1000, 0))
    raw_req(e, "ListOffsets v0", 2, 0, struct.pack(">ii", -1, 0))
    raw_req(e, "OffsetFetch v0", 9, 0, struct.pack(">h", 1) + b"g" + struct.pack(">i", 0))
    raw_req(e, "OffsetCommit v1", 8, 1, struct.pack(">h", 1) + b"g" + struct.pack(">ihi", -1, 0, 0))
    raw_req(e, "CreateTopics v1", 19, 1, struct.pack(">iib", 0, 1000, 0))
    raw_req(e, "InitProducerId v6 (unstable)", 22, 6, b"\0" + struct.pack(">iqh", 1000, -1, -1) + b"\0\0\0", 2)
    raw_req(e, "LeaderAndIsr: removed", 4, 0, b"\0" * 20)
    raw_req(e, "UpdateMetadata: removed", 6, 0, b"\0" * 20)
    raw_req(e, "Vote: controller listener only", 52, 0, b"\0\1\0", 2)
    raw_req(e, "BrokerHeartbeat: controller listener only", 63, 0, b"\0" * 24, 2)
    e.x("GetTelemetrySubscriptions", 0, {"clientInstanceId": ZERO}, force=True, what="not advertised without a telemetry plugin", learn=lambda r: e.remember(r["clientInstanceId"], "CLIENTID"))
    e.x("PushTelemetry", 0, {"clientInstanceId": NOID, "subscriptionId": 1, "terminating": False, "compressionType": 0, "metrics": b""}, force=True, what="not advertised without a telemetry plugin")
    raw_req(e, "api key 999", 999, 0, b"")
    raw_req(e, "api key -1", -1, 0, b"")


@probe("frames")
def _(e):
    def raw(what, b, wait=1.5, shut=False, req=None):
        c = e.conn()
        c.raw(b)
        if shut:
            c.s.shutdown(1)
        s = c.state(wait)
        e.what = what
        e.put("raw", 0, req or {"bytes": b[:40].hex(), "length": len(b)}, {"open": "silence", "data": "answered", "closed": "closed"}[s])
        c.close()
    raw("frame length 0", struct.pack(">i", 0))
    raw("frame length -1", struct.pack(">i", -1))
    raw("frame length 1, one byte", struct.pack(">i", 1) + b"\0")
    raw("frame length 2147483647, nothing more", struct.pack(">i", 2147483647))
    raw("frame length one above socket.request.max.bytes (104857601), nothing more", struct.pack(">i", 104857601))
    raw("frame length equal to socket.request.max.bytes (104857600), nothing more", struct.pack(">i", 104857600))
    raw("GET / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw("TLS client hello on a plaintext listener", bytes.fromhex("16030100c8010000c40303") + b"\7" * 190)
    raw("64 zero bytes", b"\0" * 64)
    raw("a header cut short", struct.pack(">ihh", 4, 18, 0))
    raw("half a frame, then the write side is shut", struct.pack(">i", 100) + b"\0\3\0\1", shut=True)
    m = b"\0\3\0\1\0\0\0\1\0\1p"
    raw("Metadata v1 with a body cut short", struct.pack(">i", len(m) + 2) + m + b"\0\0")
    raw("Metadata v1, 3 bytes after the body", struct.pack(">i", len(m) + 7) + m + struct.pack(">i", 0) + b"abc")
    raw("Metadata v1, array length 2147483647", struct.pack(">i", len(m) + 4) + m + struct.pack(">i", 2147483647))
    raw("Metadata v1, array length -2", struct.pack(">i", len(m) + 4) + m + struct.pack(">i", -2))
    raw("Metadata v1, topic name length -1 (not nullable)", struct.pack(">i", len(m) + 6) + m + struct.pack(">ih", 1, -1))
    raw("Metadata v1, topic name length 30000 with 2 bytes there", struct.pack(">i", len(m) + 8) + m + struct.pack(">ih", 1, 30000) + b"ab")
    raw("Metadata v1, topic name not UTF-8", struct.pack(">i", len(m) + 8) + m + struct.pack(">ih", 1, 2) + b"\xff\xfe")
    raw("Metadata v9, varint of 6 bytes as the array length", struct.pack(">i", 12 + 6) + b"\0\3\0\x09\0\0\0\1\0\1p\0" + b"\xff\xff\xff\xff\xff\1")
    raw("client id length -2", struct.pack(">i", 14) + b"\0\3\0\1\0\0\0\1\xff\xfe" + struct.pack(">i", 0))


@probe("headers")
def _(e):
    def go(what, **kw):
        c = e.conn()
        try:
            i = c.send("ApiVersions", kw.pop("ver", 3), {"clientSoftwareName": "p", "clientSoftwareVersion": "1"}, **kw)
            b = c.recv_raw()
            r = {"correlationId": struct.unpack_from(">i", b)[0]}
        except Closed:
            r = "closed"
        e.what = what
        e.put("ApiVersions", 3, {}, r)
        c.close()
    go("correlation id -2147483648", corr=-2147483648)
    go("correlation id 2147483647", corr=2147483647)
    go("correlation id 0", corr=0)
    go("null client id", client=None)
    go("empty client id", client="")
    go("client id of 32767 bytes", client="c" * 32767)
    go("unknown tagged field in the header", tags={5: "616263", 70000: ""})
    e.x("Metadata", 12, {"topics": [], "_unknownTags": {9: "00ff"}}, what="unknown tagged field in the body", note=lambda r: {"topics": r["topics"], "clusterId": r["clusterId"]})
    c = e.conn()
    f = c.frame("ApiVersions", 0, {}, 5)
    for i in range(len(f)):
        c.raw(f[i:i + 1])
        time.sleep(0.002)
    e.what = "a frame sent one byte at a time"
    e.put("ApiVersions", 0, {}, {"correlationId": c.recv("ApiVersions", 0)[0]})
    c.close()


@probe("pipeline-order")
def _(e):
    t, i = e.topic("pipe")
    c = e.conn()
    order = []
    fetch = {"maxWaitMs": 6000, "minBytes": 1, "topics": [{"topicId": i, "partitions": [{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1000}]}]}
    sent = [c.send("Metadata", 12, {"topics": []}), c.send("Fetch", 17, fetch), c.send("ApiVersions", 0, {}), c.send("Metadata", 12, {"topics": []})]
    t0 = time.monotonic()
    for _ in sent:
        b = c.recv_raw()
        order.append([struct.unpack_from(">i", b)[0], time.monotonic() - t0 > 5.5])
    e.what = "four requests at once on one connection, the second is a Fetch that waits 6 s: [position of the request, answered late]"
    e.put("Fetch", 17, fetch, [[sent.index(a), late] for a, late in order])
    c.close()


def fresh(e):
    """only on a broker on which nothing has been done: the first answers of the coordinators"""
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": []}, what="ListGroups, nothing done before")
    asked = (("FindCoordinator", 4, {"keyType": 0, "coordinatorKeys": ["g"]}, "first FindCoordinator of a group"),
             ("FindCoordinator", 4, {"keyType": 1, "coordinatorKeys": ["t"]}, "first FindCoordinator of a transactional id"),
             ("InitProducerId", 5, {"transactionalId": "t", "transactionTimeoutMs": 60000}, "InitProducerId at once"),
             ("JoinGroup", 9, jg("g"), "JoinGroup at once"))
    c = e.conn()   # sent in one piece: the first ones have the topics made, and the last must come before they are
    c.raw(b"".join(c.frame(api, ver, body, n) for n, (api, ver, body, _) in enumerate(asked)))
    for api, ver, body, what in asked:
        e.what = what
        e.put(api, ver, body, c.recv(api, ver)[1])
    c.close()
    there = lambda r: all(t["errorCode"] == 0 for t in r.get("coordinators", r.get("topics")))
    e.x("FindCoordinator", 4, {"keyType": 0, "coordinatorKeys": ["g"]}, what="a while later", until=there)
    e.x("FindCoordinator", 6, {"keyType": 2, "coordinatorKeys": ["g:AAAAAAAAAAAAAAAAAAAAZw:0"]}, what="first FindCoordinator of a share partition")
    e.x("Metadata", 12, {"topics": [{"name": "__consumer_offsets"}, {"name": "__transaction_state"}], "allowAutoTopicCreation": False}, what="the internal topics", until=there, note=lambda r: [{"name": t["name"], "isInternal": t["isInternal"], "errorCode": t["errorCode"], "partitions": len(t["partitions"])} for t in r["topics"]])
    e.x("DescribeConfigs", 4, {"resources": [{"resourceType": 2, "resourceName": n, "configurationKeys": ["cleanup.policy", "segment.bytes", "compression.type", "min.insync.replicas", "unclean.leader.election.enable"]} for n in ("__consumer_offsets", "__transaction_state")]}, what="their configs")
    e.x("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 60000}, what="the first producer id of a cluster")


# ================================================================ metadata
def own(e):
    return lambda r: {**r, "topics": [t for t in r["topics"] if t["name"] and e.run in t["name"]]}


@probe("metadata")
def _(e):
    t, i = e.topic("meta", 3)
    for v in (0, 1, 4, 7, 8, 9, 10, 12, 13):
        b = {"topics": [{"name": t}]}
        if v >= 4:
            b["allowAutoTopicCreation"] = False
        e.x("Metadata", v, b, what="a topic with 3 partitions")
    e.x("Metadata", 0, {"topics": []}, what="v0, empty list: all topics", note=lambda r: {**r, "topics": "mine is in: %s" % any(x["name"] == t for x in r["topics"])})
    e.x("Metadata", 1, {"topics": []}, what="v1, empty list: no topics")
    e.x("Metadata", 12, {"topics": None}, what="null: all topics", note=lambda r: {**r, "topics": "mine is in: %s" % any(x["name"] == t for x in r["topics"])})
    u = e.n("nowhere")
    for v in (1, 4, 5, 9, 12, 13):
        e.x("Metadata", v, {"topics": [{"name": u}], **({"allowAutoTopicCreation": False} if v >= 4 else {})} if v > 1 else {"topics": [{"name": u + "x"}]}, what="unknown topic" + (", creation not allowed" if v >= 4 else " (auto.create.topics.enable is true)"))
    e.x("Metadata", 12, {"topics": [{"topicId": i, "name": None}], "allowAutoTopicCreation": False}, what="by topic id")
    e.x("Metadata", 12, {"topics": [{"topicId": NOID, "name": None}], "allowAutoTopicCreation": False}, what="unknown topic id")
    e.x("Metadata", 12, {"topics": [{"topicId": ZERO, "name": None}], "allowAutoTopicCreation": False}, what="neither id nor name")
    e.x("Metadata", 12, {"topics": [{"topicId": i, "name": t}], "allowAutoTopicCreation": False}, what="id and name")
    e.x("Metadata", 12, {"topics": [{"topicId": NOID, "name": t}], "allowAutoTopicCreation": False}, what="wrong id and right name")
    e.x("Metadata", 10, {"topics": [{"topicId": i, "name": None}], "allowAutoTopicCreation": False}, what="v10 by topic id")
    e.x("Metadata", 12, {"topics": [{"name": t}, {"name": t}], "allowAutoTopicCreation": False}, what="the same topic twice", note=lambda r: [x["name"] for x in r["topics"]])
    e.x("Metadata", 12, {"topics": [{"name": t}, {"name": u}, {"topicId": NOID, "name": None}], "allowAutoTopicCreation": False}, what="names and ids mixed")
    e.x("Metadata", 12, {"topics": [{"name": t}], "includeTopicAuthorizedOperations": True, "allowAutoTopicCreation": False}, what="authorized operations of the topic")
    e.x("Metadata", 10, {"topics": [], "includeClusterAuthorizedOperations": True}, what="authorized operations of the cluster")
    a = e.n("auto")
    e.x("Metadata", 12, {"topics": [{"name": a}], "allowAutoTopicCreation": True}, what="unknown topic, creation allowed: first answer", note=lambda r: {**r, "topics": [{**x, "topicId": "ZERO" if x["topicId"] == ZERO else "set"} for x in r["topics"]]})
    e.x("Metadata", 12, {"topics": [{"name": a}], "allowAutoTopicCreation": False}, what="a while later", until=lambda r: r["topics"][0]["errorCode"] == 0, learn=lambda r: e.remember(r["topics"][0]["topicId"], "ID"))
    for nm, w in (("bad name!", "blank and exclamation mark"), ("", "empty"), (".", "one dot"), ("..", "two dots"), ("x" * 250, "250 characters"), ("a/b", "slash"), ("grüße", "not ASCII")):
        e.x("Metadata", 12, {"topics": [{"name": nm}], "allowAutoTopicCreation": True}, what="topic name: " + w)


@probe("describe-cluster")
def _(e):
    e.x("DescribeCluster", 0, {})
    e.x("DescribeCluster", 1, {"includeClusterAuthorizedOperations": True, "endpointType": 1})
    e.x("DescribeCluster", 2, {"endpointType": 1, "includeFencedBrokers": True})
    e.x("DescribeCluster", 2, {"endpointType": 2}, what="controllers, asked of a broker")
    e.x("DescribeCluster", 2, {"endpointType": 9}, what="unknown endpoint type")


@probe("describe-topic-partitions")
def _(e):
    a, ia = e.topic("dtp-a", 3)
    b, ib = e.topic("dtp-b", 2)
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": b}, {"name": a}]}, what="two topics, limit 2000: the order of the reply")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": a}, {"name": b}], "responsePartitionLimit": 2}, what="limit 2")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": a}, {"name": b}], "responsePartitionLimit": 2, "cursor": {"topicName": a, "partitionIndex": 2}}, what="from a cursor")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": a}, {"name": b}], "responsePartitionLimit": 0}, what="limit 0")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": e.n("nowhere")}]}, what="unknown topic")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": "bad name!"}]}, what="invalid topic name")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": a}], "cursor": {"topicName": a, "partitionIndex": -1}}, what="cursor with a negative partition")
    e.x("DescribeTopicPartitions", 0, {"topics": [{"name": a}], "cursor": {"topicName": a, "partitionIndex": 99}}, what="cursor behind the last partition")


# ================================================================ topics
def ct(name, parts=1, rf=1, assign=(), cfg=None):
    return {"name": name, "numPartitions": parts, "replicationFactor": rf, "assignments": [{"partitionIndex": p, "brokerIds": b} for p, b in assign], "configs": [{"name": k, "value": v} for k, v in (cfg or {}).items()]}


@probe("create-topics")
def _(e):
    learn = lambda r: [e.remember(t.get("topicId"), "ID") for t in r["topics"]]
    C = lambda what, topics, v=7, note=None, **kw: e.x("CreateTopics", v, {"topics": topics, "timeoutMs": 10000, **kw}, what=what, learn=learn, note=note)
    nocfg = lambda r: {**r, "topics": [{**t, "configs": None if t.get("configs") is None else "%d configs" % len(t["configs"])} for t in r["topics"]]}
    C("a topic: the reply lists its configs", [ct(e.n("ct1"), 2)])
    C("v5", [ct(e.n("ct5"))], 5, nocfg)
    C("v4", [ct(e.n("ct4"))], 4)
    C("v2", [ct(e.n("ct2"))], 2)
    C("it exists", [ct(e.n("ct1"))], note=nocfg)
    C("validate only", [ct(e.n("ctv"))], note=nocfg, validateOnly=True)
    C("validate only, it exists", [ct(e.n("ct1"))], note=nocfg, validateOnly=True)
    C("the same name twice in one request", [ct(e.n("ctd")), ct(e.n("ctd"), 2)], note=nocfg)
    C("one good, one bad", [ct(e.n("ctg")), ct(e.n("ct1"))], note=nocfg)
    C("replication factor 2 on one broker", [ct(e.n("ctr"), 1, 2)], note=nocfg)
    C("replication factor 0", [ct(e.n("ctr"), 1, 0)], note=nocfg)
    C("replication factor -2", [ct(e.n("ctr"), 1, -2)], note=nocfg)
    C("0 partitions", [ct(e.n("ctp"), 0)], note=nocfg)
    C("-2 partitions", [ct(e.n("ctp"), -2)], note=nocfg)
    C("-1 partitions and -1 replicas: the defaults", [ct(e.n("ctdef"), -1, -1)], note=nocfg)
    C("v3 with -1 partitions", [ct(e.n("ctdef3"), -1, -1)], 3, nocfg)
    C("20000 partitions, validate only", [ct(e.n("ctmany"), 20000)], note=nocfg, validateOnly=True)
    C("manual assignment", [ct(e.n("cta"), -1, -1, [(0, [e.node]), (1, [e.node])])], note=nocfg)
    C("assignment together with a partition count", [ct(e.n("ctb"), 1, -1, [(0, [e.node])])], note=nocfg)
    C("assignment together with a replication factor", [ct(e.n("ctb"), -1, 1, [(0, [e.node])])], note=nocfg)
    C("assignment does not start at 0", [ct(e.n("ctb"), -1, -1, [(1, [e.node])])], note=nocfg)
    C("assignment to an unknown broker", [ct(e.n("ctb"), -1, -1, [(0, [98])])], note=nocfg)
    C("assignment with a broker twice", [ct(e.n("ctb"), -1, -1, [(0, [e.node, e.node])])], note=nocfg)
    C("assignment without replicas", [ct(e.n("ctb"), -1, -1, [(0, [])])], note=nocfg)
    C("the same partition twice in the assignment", [ct(e.n("ctb"), -1, -1, [(0, [e.node]), (0, [e.node])])], note=nocfg)
    C("good configs", [ct(e.n("ctc"), 1, 1, (), {"retention.ms": "1000", "cleanup.policy": "compact,delete", "compression.type": "zstd"})], note=lambda r: {**r, "topics": [{**t, "configs": [c for c in (t["configs"] or []) if c["name"] in ("retention.ms", "cleanup.policy", "compression.type")]} for t in r["topics"]]})
    C("unknown config", [ct(e.n("ctx"), 1, 1, (), {"no.such.config": "1"})], note=nocfg)
    C("config value not a number", [ct(e.n("ctx"), 1, 1, (), {"retention.ms": "abc"})], note=nocfg)
    C("config value out of range", [ct(e.n("ctx"), 1, 1, (), {"min.insync.replicas": "0"})], note=nocfg)
    C("config value null", [ct(e.n("ctx"), 1, 1, (), {"retention.ms": None})], note=nocfg)
    C("segment.bytes 14", [ct(e.n("ctx"), 1, 1, (), {"segment.bytes": "14"})], note=nocfg)
    C("cleanup.policy unknown", [ct(e.n("ctx"), 1, 1, (), {"cleanup.policy": "burn"})], note=nocfg)
    C("cleanup.policy empty", [ct(e.n("ctx"), 1, 1, (), {"cleanup.policy": ""})], note=nocfg)
    C("cleanup.policy none", [ct(e.n("ctnone"), 1, 1, (), {"cleanup.policy": "none"})], note=nocfg)
    C("the same config twice", [{**ct(e.n("ctdup")), "configs": [{"name": "retention.ms", "value": "1"}, {"name": "retention.ms", "value": "2"}]}], note=lambda r: {**r, "topics": [{**t, "configs": [c for c in (t["configs"] or []) if c["name"] == "retention.ms"]} for t in r["topics"]]})
    for nm, w in (("", "empty name"), (".", "name ."), ("..", "name .."), ("a b", "name with a blank"), ("x" * 250, "name of 250 characters"), ("x" * 249, "name of 249 characters, validate only")):
        C(w, [ct(nm)], note=nocfg, validateOnly=True)
    C("a.b first", [ct(e.n("col.l"))], note=nocfg)
    C("a_b collides with a.b", [ct(e.n("col_l"))], note=nocfg)
    C("an internal topic's name, validate only", [ct("__consumer_offsets")], note=nocfg, validateOnly=True)
    C("the metadata topic's name, validate only", [ct("__cluster_metadata")], note=nocfg, validateOnly=True)
    C("an empty list", [])
    e.x("CreateTopics", 7, {"topics": [ct(e.n("ctt"))], "timeoutMs": 0}, what="timeout 0", learn=learn, note=nocfg)
    e.x("CreateTopics", 7, {"topics": [ct(e.n("ctn"))], "timeoutMs": -1}, what="timeout -1", learn=learn, note=nocfg)


@probe("delete-topics")
def _(e):
    a, ia = e.topic("del-a")
    b, ib = e.topic("del-b")
    c, ic = e.topic("del-c")
    D = lambda what, v=6, **kw: e.x("DeleteTopics", v, {"timeoutMs": 10000, **kw}, what=what)
    D("by name", topics=[{"name": a}])
    D("by name again", topics=[{"name": a}])
    D("by id", topics=[{"name": None, "topicId": ib}])
    D("by id again", topics=[{"name": None, "topicId": ib}])
    D("unknown id", topics=[{"name": None, "topicId": NOID}])
    D("name and id", topics=[{"name": c, "topicId": ic}])
    D("neither", topics=[{"name": None}])
    D("the same name twice", topics=[{"name": c}, {"name": c}])
    D("the name and the id of one topic, two entries", topics=[{"name": c}, {"name": None, "topicId": ic}])
    D("v1 unknown name", 1, topicNames=[e.n("nowhere")])
    D("v5 by name", 5, topicNames=[c])
    D("empty list", topics=[])
    d, idd = e.topic("del-d")
    e.produce(idd, 0, batch(1))
    e.q("DeleteTopics", 6, {"topics": [{"name": d}], "timeoutMs": 10000})
    time.sleep(0.3)
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": [{"topicId": idd, "partitionData": [{"index": 0, "records": batch(1)}]}]}, what="produce by the id of a deleted topic")
    e.x("Fetch", 17, {"maxWaitMs": 0, "topics": [{"topicId": idd, "partitions": [{"partition": 0, "partitionMaxBytes": 1000}]}]}, what="fetch by the id of a deleted topic")


@probe("create-partitions")
def _(e):
    t, i = e.topic("cp", 2)
    C = lambda what, topics, **kw: e.x("CreatePartitions", 3, {"topics": topics, "timeoutMs": 10000, **kw}, what=what)
    C("validate only, 2 to 4", [{"name": t, "count": 4, "assignments": None}], validateOnly=True)
    C("2 to 3", [{"name": t, "count": 3, "assignments": None}])
    C("same count", [{"name": t, "count": 3, "assignments": None}])
    C("fewer", [{"name": t, "count": 1, "assignments": None}])
    C("count 0", [{"name": t, "count": 0, "assignments": None}])
    C("count -1", [{"name": t, "count": -1, "assignments": None}])
    C("unknown topic", [{"name": e.n("nowhere"), "count": 3, "assignments": None}])
    C("assignment for one of two new ones", [{"name": t, "count": 5, "assignments": [{"brokerIds": [e.node]}]}])
    C("assignment to an unknown broker", [{"name": t, "count": 4, "assignments": [{"brokerIds": [98]}]}])
    C("assignment with two replicas where the topic has one", [{"name": t, "count": 4, "assignments": [{"brokerIds": [e.node, 98]}]}])
    C("good assignment", [{"name": t, "count": 4, "assignments": [{"brokerIds": [e.node]}]}])
    C("the same topic twice", [{"name": t, "count": 5, "assignments": None}, {"name": t, "count": 6, "assignments": None}])
    C("empty list", [])


# ================================================================ configs
@probe("describe-configs")
def _(e):
    t, i = e.topic("dc", 1, retention_ms="1234", cleanup_policy="compact")
    D = lambda what, rs, v=4, **kw: e.x("DescribeConfigs", v, {"resources": [{"resourceType": a, "resourceName": b, "configurationKeys": c} for a, b, c in rs], **kw}, what=what)
    keys = ["retention.ms", "cleanup.policy", "segment.bytes", "min.insync.replicas"]
    D("a topic, four keys", [(2, t, keys)])
    D("with synonyms", [(2, t, keys)], includeSynonyms=True)
    D("v1 with synonyms", [(2, t, keys)], 1, includeSynonyms=True)
    D("an unknown key among the keys", [(2, t, ["retention.ms", "no.such"])])
    D("an empty list of keys", [(2, t, [])])
    D("unknown topic", [(2, e.n("nowhere"), keys)])
    D("invalid topic name", [(2, "bad name!", keys)])
    D("empty topic name", [(2, "", keys)])
    D("broker", [(4, str(e.node), ["log.retention.ms", "log.cleaner.threads", "listeners", "num.io.threads", "ssl.keystore.password"])])
    D("broker with synonyms", [(4, str(e.node), ["log.retention.ms", "log.cleaner.threads"])], includeSynonyms=True)
    D("cluster default of the brokers", [(4, "", ["log.cleaner.threads"])])
    D("another broker's id", [(4, "98", ["log.cleaner.threads"])])
    D("broker id not a number", [(4, "abc", ["log.cleaner.threads"])])
    D("broker loggers", [(8, str(e.node), ["root"])])
    D("resource type 99", [(99, "x", None)])
    D("resource type 0", [(0, "x", None)])
    D("group without configs", [(32, e.n("grp"), ["consumer.session.timeout.ms", "share.auto.offset.reset"])])
    D("group with an empty name", [(32, "", ["consumer.session.timeout.ms"])])
    D("client metrics, unknown subscription", [(16, e.n("cm"), None)])
    D("the same topic twice", [(2, t, ["retention.ms"]), (2, t, ["segment.bytes"])])
    for a, b in ((32, "lcg"), (16, "lcm")):
        e.q("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": a, "resourceName": e.n(b), "configs": [{"name": "consumer.session.timeout.ms" if a == 32 else "interval.ms", "configOperation": 0, "value": "50000"}]}]})
    time.sleep(1)
    mine = lambda r: {**r, "configResources": [x for x in r["configResources"] if e.run in x["resourceName"]]}
    e.x("ListConfigResources", 0, {}, what="v0: client metrics", note=mine)
    e.x("ListConfigResources", 1, {"resourceTypes": [32, 16]}, what="groups and client metrics", note=mine)
    e.q("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": 16, "resourceName": e.n("lcm"), "configs": [{"name": "interval.ms", "configOperation": 1, "value": None}]}]})
    e.x("ListConfigResources", 1, {"resourceTypes": []}, what="no types: which types come", note=lambda r: {**r, "configResources": sorted({x["resourceType"] for x in r["configResources"]})})
    e.x("ListConfigResources", 1, {"resourceTypes": [99]}, what="unknown type")


@probe("alter-configs")
def _(e):
    t, i = e.topic("ac", 1)
    A = lambda what, rt, rn, cs, **kw: e.x("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": rt, "resourceName": rn, "configs": [{"name": a, "configOperation": o, "value": v} for a, o, v in cs]}], **kw}, what=what)
    show = lambda what, keys, rt=2, rn=None: e.x("DescribeConfigs", 4, {"resources": [{"resourceType": rt, "resourceName": rn if rn is not None else t, "configurationKeys": keys}], "includeSynonyms": True}, what=what)
    A("set", 2, t, [("retention.ms", 0, "5000")])
    A("append to a list", 2, t, [("cleanup.policy", 2, "compact")])
    time.sleep(1)
    show("after set and append", ["retention.ms", "cleanup.policy"])
    A("append what is there already", 2, t, [("cleanup.policy", 2, "compact")])
    A("subtract", 2, t, [("cleanup.policy", 3, "delete")])
    A("delete", 2, t, [("retention.ms", 1, None)])
    time.sleep(1)
    show("after subtract and delete", ["retention.ms", "cleanup.policy"])
    A("delete what is not set", 2, t, [("retention.bytes", 1, None)])
    A("append to what is not a list", 2, t, [("retention.ms", 2, "1")])
    A("operation 9", 2, t, [("retention.ms", 9, "1")])
    A("set to null", 2, t, [("retention.ms", 0, None)])
    A("the same key twice", 2, t, [("retention.ms", 0, "1"), ("retention.ms", 0, "2")])
    A("unknown key", 2, t, [("no.such", 0, "1")])
    A("bad value", 2, t, [("retention.ms", 0, "x")])
    A("validate only", 2, t, [("retention.ms", 0, "77")], validateOnly=True)
    A("unknown topic", 2, e.n("nowhere"), [("retention.ms", 0, "77")])
    A("empty list of configs", 2, t, [])
    A("broker: read-only config", 4, str(e.node), [("num.partitions", 0, "3"), ("log.dirs", 0, "/x")])
    A("broker: unknown config", 4, str(e.node), [("my.own.config", 0, "3")])
    A("broker: dynamic config", 4, str(e.node), [("log.cleaner.backoff.ms", 0, "14000")])
    time.sleep(1)
    show("broker config after it", ["log.cleaner.backoff.ms"], 4, str(e.node))
    A("broker: take it back", 4, str(e.node), [("log.cleaner.backoff.ms", 1, None)])
    A("cluster default", 4, "", [("log.cleaner.backoff.ms", 0, "13000")])
    A("cluster default: a per-broker config", 4, "", [("ssl.keystore.location", 0, "x")])
    A("cluster default: take it back", 4, "", [("log.cleaner.backoff.ms", 1, None)])
    A("another broker", 4, "98", [("log.cleaner.backoff.ms", 0, "13000")])
    A("group", 32, e.n("acg"), [("consumer.session.timeout.ms", 0, "50000")])
    A("group: below its minimum", 32, e.n("acg"), [("consumer.session.timeout.ms", 0, "1")])
    A("group: unknown key", 32, e.n("acg"), [("no.such", 0, "1")])
    A("client metrics", 16, e.n("acm"), [("interval.ms", 0, "1000"), ("metrics", 0, "*")])
    A("client metrics: take it back", 16, e.n("acm"), [("interval.ms", 1, None), ("metrics", 1, None)])
    A("resource type 99", 99, "x", [("a", 0, "1")])
    A("broker logger: set", 8, str(e.node), [("kafka.nothing", 0, "DEBUG")])
    A("broker logger: bad level", 8, str(e.node), [("kafka.nothing", 0, "LOUD")])
    e.x("AlterConfigs", 2, {"resources": [{"resourceType": 2, "resourceName": t, "configs": [{"name": "retention.ms", "value": "9000"}]}]}, what="the old request replaces all configs")
    time.sleep(1)
    show("after it", ["retention.ms", "cleanup.policy"])
    e.x("AlterConfigs", 2, {"resources": [{"resourceType": 2, "resourceName": e.n("nowhere"), "configs": []}]}, what="unknown topic")


# ================================================================ produce
def pr(key, b, acks=1, txn=None, timeout=3000, part=0, ver=13):
    k = {"topicId": key} if ver >= 13 else {"name": key}
    return {"transactionalId": txn, "acks": acks, "timeoutMs": timeout, "topicData": [{**k, "partitionData": [{"index": part, "records": b}]}]}


@probe("produce")
def _(e):
    t, i = e.topic("p", 2)
    P = lambda what, b, ver=13, **kw: e.x("Produce", ver, pr(i if ver >= 13 else t, b, ver=ver, **kw), what=what)
    P("three records", batch(3))
    for v in (3, 7, 8, 9, 12):
        P("version %d" % v, batch(1), v)
    P("acks -1", batch(1), acks=-1)
    P("base offset 77 in the request", batch(1, base=77))
    P("gzip", batch(5, codec=1))
    P("acks 2", batch(1), acks=2)
    P("acks -2", batch(1), acks=-2)
    P("timeout 0", batch(1), timeout=0)
    P("timeout -1", batch(1), timeout=-1)
    P("partition that does not exist", batch(1), part=9)
    P("partition -1", batch(1), part=-1)
    e.x("Produce", 13, pr(NOID, batch(1)), what="unknown topic id")
    e.x("Produce", 13, pr(ZERO, batch(1)), what="zero topic id")
    e.x("Produce", 12, pr(e.n("nowhere"), batch(1), ver=12), what="unknown topic name")
    e.x("Produce", 12, pr("bad name!", batch(1), ver=12), what="invalid topic name")
    e.x("Produce", 12, pr("__consumer_offsets", batch(1), ver=12), what="an internal topic")
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": []}, what="no topics")
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": [{"topicId": i, "partitionData": []}]}, what="no partitions")
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": [{"topicId": i, "partitionData": [{"index": 0, "records": batch(1)}, {"index": 9, "records": batch(1)}, {"index": 1, "records": batch(1)}]}, {"topicId": NOID, "partitionData": [{"index": 0, "records": batch(1)}]}]}, what="good and bad partitions in one request")
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": [{"topicId": i, "partitionData": [{"index": 1, "records": batch(1)}, {"index": 1, "records": batch(2)}]}]}, what="the same partition twice")
    P("records null", None)
    P("records of 0 bytes", b"")
    P("wrong CRC", batch(1, crc=1))
    P("magic 1", old_batch(1))
    P("magic 0", old_batch(0))
    P("magic 1 in v3", old_batch(1), 3)
    P("magic 3", batch(1, magic=3))
    P("two batches in one partition", batch(1) + batch(1))
    P("the batch cut short by one byte", batch(1)[:-1])
    P("5 bytes only", b"\0" * 5)
    P("bytes after the batch", batch(1) + b"xyz")
    P("count too high", batch(2, count=3))
    P("count too low", batch(2, count=1))
    P("count too high, gzip", batch(2, count=3, codec=1))
    P("last offset delta too high", batch(2, last=5))
    P("no records, count 0", batch(0, count=0, last=0))
    P("codec 5", batch(1, attrs=5))
    P("codec says gzip, bytes are plain", batch(1, attrs=1))
    P("codec says zstd, bytes are plain", batch(1, attrs=4))
    P("zstd in v6", batch(1, attrs=4), 6)
    P("control batch", batch([(b"\0\0\0\1", b"\0\0\0\0\0\0")], control=True))
    P("unused attribute bit 7", batch(1, attrs=128))
    P("delete horizon bit", batch(1, attrs=64))
    P("log append time bit set by the client", batch(1, append=True))
    P("negative timestamp -1", batch([(b"k", b"v", -1)]))
    P("negative timestamp -2", batch([(b"k", b"v", -2)]))
    P2(e, i)
    P("record with headers", batch([(b"k", b"v", T0, ((b"a", b"1"), (b"a", None), (b"", b"")))]))
    P("null key and null value", batch([(None, None)]))
    P("transactional batch without a transactional id", batch(1, pid=5, epoch=0, seq=0, txn=True))
    P("leader epoch 5 in the batch", batch(1, leader_epoch=5))
    e.x("ListOffsets", 7, {"replicaId": -1, "topics": [{"name": t, "partitions": [{"partitionIndex": p, "timestamp": -1} for p in (0, 1)]}]}, what="the end of the log after all this")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="all batches as they are stored")


def P2(e, i):
    b = batch([(b"k", b"v", int(time.time() * 1000) + 7200000)])
    c = e.conn()
    r = c.call("Produce", 13, pr(i, b))
    e.what = "timestamp two hours ahead of the clock"
    e.put("Produce", 13, "one record, timestamp now + 2 h", r)
    c.close()


@probe("produce-acks-0")
def _(e):
    t, i = e.topic("p0")
    c = e.conn()
    c.send("Produce", 13, pr(i, batch(2), acks=0))
    n, r = None, None
    c.send("Metadata", 12, {"topics": []}, corr=4242)
    b = c.recv_raw()
    e.what = "acks 0 and then Metadata on the same connection: which reply comes first"
    e.put("Produce", 13, pr(i, batch(2), acks=0), "Metadata" if struct.unpack_from(">i", b)[0] == 4242 else "Produce")
    c.send("Produce", 13, pr(i, batch(1), acks=0, part=9))
    e.what = "acks 0, partition does not exist"
    e.put("Produce", 13, pr(i, batch(1), acks=0, part=9), {"closed": "closed", "open": "silence", "data": "answered"}[c.state(1.5)])
    c.close()
    c = e.conn()
    c.send("Produce", 13, pr(i, batch(1, crc=1), acks=0))
    e.what = "acks 0, wrong CRC"
    e.put("Produce", 13, pr(i, batch(1, crc=1), acks=0), {"closed": "closed", "open": "silence", "data": "answered"}[c.state(1.5)])
    c.close()
    c = e.conn()
    c.send("Produce", 13, pr(i, None, acks=0))
    e.what = "acks 0, records null"
    e.put("Produce", 13, pr(i, None, acks=0), {"closed": "closed", "open": "silence", "data": "answered"}[c.state(1.5)])
    c.close()


@probe("produce-topic-configs")
def _(e):
    t, i = e.topic("ptl", 1, max_message_bytes="200")
    e.x("Produce", 13, pr(i, batch([(b"k", b"v" * 300)])), what="batch larger than max.message.bytes 200")
    e.x("Produce", 13, pr(i, batch([(b"k", b"v" * 300)], codec=1)), what="larger before compression only (gzip)")
    size = len(batch([(b"k", b"")]))
    e.x("Produce", 13, pr(i, batch([(b"k", b"v" * (200 - size - 1))])), what="a batch of exactly %d bytes" % len(batch([(b"k", b"v" * (200 - size - 1))])))
    t, i = e.topic("ptc", 1, cleanup_policy="compact")
    e.x("Produce", 13, pr(i, batch([(b"a", b"1"), (None, b"2"), (b"b", b"3"), (None, b"4")])), what="null keys in a compacted topic")
    e.x("Produce", 8, pr(t, batch([(None, b"2")]), ver=8), what="the same in v8")
    e.x("Produce", 7, pr(t, batch([(None, b"2")]), ver=7), what="the same in v7")
    e.x("Produce", 13, pr(i, batch([(b"a", None)])), what="a tombstone")
    t, i = e.topic("pta", 1, message_timestamp_type="LogAppendTime")
    e.x("Produce", 13, pr(i, batch(2)), what="LogAppendTime")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="the batch as stored")
    t, i = e.topic("ptz", 1, compression_type="gzip")
    e.x("Produce", 13, pr(i, batch(2)), what="topic compression.type gzip, plain batch")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="the batch as stored", note=lambda r: [{"codec": b["codec"], "count": b["count"], "baseOffset": b["baseOffset"]} for b in e.rec(r["responses"][0]["partitions"][0]["records"])["batches"]])
    t, i = e.topic("ptu", 1, compression_type="uncompressed")
    e.x("Produce", 13, pr(i, batch(2, codec=1)), what="topic compression.type uncompressed, gzip batch")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="the batch as stored")
    t, i = e.topic("ptm", 1, min_insync_replicas="2")
    e.x("Produce", 13, pr(i, batch(1), acks=-1), what="min.insync.replicas 2, one replica, acks all")
    e.x("Produce", 13, pr(i, batch(1), acks=1), what="the same with acks 1")
    t, i = e.topic("ptb", 1, message_timestamp_before_max_ms="1000")
    e.x("Produce", 13, pr(i, batch(2)), what="message.timestamp.before.max.ms 1000, old records")


# ================================================================ idempotence
@probe("idempotent")
def _(e):
    t, i = e.topic("idem")
    pid = []

    def learn(r):
        pid.append(r["producerId"])
        e.remember(r["producerId"], "PID")
    e.x("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 60000}, learn=learn)
    p = pid[0]
    P = lambda what, seq, n=1, epoch=0, pp=p: e.x("Produce", 13, pr(i, batch(n, pid=pp, epoch=epoch, seq=seq), acks=-1), what=what)
    P("sequence 0, two records", 0, 2)
    P("sequence 2", 2)
    P("sequence 2 again", 2)
    P("sequence 0 again (the batch before the last)", 0, 2)
    P("sequence 0 again with another count", 0, 1)
    P("sequence 5: a gap", 5)
    P("sequence 1: inside an old batch", 1)
    for s in range(3, 9):
        e.produce(i, 0, batch(1, pid=p, epoch=0, seq=s))
    P("sequence 0 again after 7 later batches", 0, 2)
    P("sequence 2 again after 6 later batches", 2)
    P("sequence 4 again (fifth from the end)", 4)
    P("sequence 3 again (sixth from the end)", 3)
    P("epoch 1, sequence 4", 4, 1, 1)
    P("epoch 1, sequence 0", 0, 1, 1)
    P("epoch 0 after epoch 1", 9)
    P("epoch -1", 0, 1, -1)
    P("a producer id never handed out, sequence 0", 0, 1, 0, 77777777)
    P("a producer id never handed out, sequence 5", 5, 1, 0, 77777778)
    P("producer id -2", 0, 1, 0, -2)
    P("sequence -1 with a producer id", -1, 1, 1)
    P("sequence 2147483647 after 0", 2147483647, 1, 1)
    e.x("Produce", 13, {"acks": 1, "timeoutMs": 1000, "topicData": [{"topicId": i, "partitionData": [{"index": 0, "records": batch(1, pid=p, epoch=1, seq=1)}]}]}, what="acks 1 with a sequence")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": [0, 7]}]}, what="the producers of the partition; partition 7 does not exist")
    e.x("DescribeProducers", 0, {"topics": [{"name": e.n("nowhere"), "partitionIndexes": [0]}]}, what="unknown topic")
    e.x("InitProducerId", 5, {"transactionalId": "", "transactionTimeoutMs": 60000}, what="empty transactional id")
    e.x("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 60000, "producerId": p, "producerEpoch": 0}, what="no transactional id, a producer id given", learn=lambda r: e.remember(r["producerId"], "PID"))
    e.x("InitProducerId", 0, {"transactionalId": None, "transactionTimeoutMs": -5}, what="v0, timeout -5, no transactional id", learn=lambda r: e.remember(r["producerId"], "PID"))
    t, i = e.topic("idemwrap")
    P = lambda what, seq, n=1, epoch=0, pp=p: e.x("Produce", 13, pr(i, batch(n, pid=pp, epoch=epoch, seq=seq), acks=-1), what=what)
    P("new partition, sequence 2147483646, three records: the sequence wraps", 2147483646, 3)
    P("next is 1", 1)


# ================================================================ fetch
def fe(parts, **kw):
    ts, order = {}, []
    for p in parts:
        i, n, off = p[0], p[1], p[2]
        if i not in ts:
            ts[i] = []
            order.append(i)
        ts[i].append({"partition": n, "fetchOffset": off, "partitionMaxBytes": 1 << 20, **(p[3] if len(p) > 3 else {})})
    return {"maxWaitMs": kw.pop("maxWaitMs", 0), "minBytes": kw.pop("minBytes", 0), "maxBytes": kw.pop("maxBytes", 1 << 20), **kw, "topics": [{"topicId": i, "partitions": ts[i]} for i in order]}


@probe("fetch")
def _(e):
    t, i = e.topic("f", 3)
    for k in range(3):
        e.produce(i, 0, batch(3))
    e.produce(i, 1, batch(2))
    F = lambda what, parts, v=17, **kw: e.x("Fetch", v, fe(parts, **kw), what=what)
    F("from 0", [(i, 0, 0)])
    F("v18", [(i, 0, 0)], 18)
    F("v16", [(i, 0, 0)], 16)
    F("v13", [(i, 0, 0)], 13)
    for v in (4, 5, 7, 11, 12):
        e.x("Fetch", v, {"maxWaitMs": 0, "minBytes": 0, "topics": [{"topic": t, "partitions": [{"partition": 0, "fetchOffset": 6, "partitionMaxBytes": 1000}]}]}, what="version %d by name" % v)
    F("from the middle of a batch: the whole batch comes", [(i, 0, 4)])
    F("from the end", [(i, 0, 9)])
    F("behind the end", [(i, 0, 10)])
    F("offset -1", [(i, 0, -1)])
    F("an empty partition", [(i, 2, 0)])
    F("partition that does not exist", [(i, 9, 0)])
    F("unknown topic id", [(NOID, 0, 0)])
    F("zero topic id", [(ZERO, 0, 0)])
    F("good and unknown topic in one request", [(i, 0, 6), (NOID, 0, 0)])
    e.x("Fetch", 12, {"maxWaitMs": 0, "topics": [{"topic": e.n("nowhere"), "partitions": [{"partition": 0, "partitionMaxBytes": 1000}]}]}, what="unknown topic name, v12")
    F("partitionMaxBytes 1: one batch comes all the same", [(i, 0, 0, {"partitionMaxBytes": 1})])
    F("partitionMaxBytes 0", [(i, 0, 0, {"partitionMaxBytes": 0})])
    F("partitionMaxBytes -1", [(i, 0, 0, {"partitionMaxBytes": -1})])
    F("partitionMaxBytes in the middle of the second batch", [(i, 0, 0, {"partitionMaxBytes": 150})])
    F("maxBytes 1, two partitions: the first gets its batch", [(i, 0, 0), (i, 1, 0)], maxBytes=1)
    F("maxBytes 0", [(i, 0, 0)], maxBytes=0)
    F("maxBytes 1, first partition empty", [(i, 2, 0), (i, 1, 0)], maxBytes=1)
    F("maxBytes 150, two partitions", [(i, 0, 0), (i, 1, 0)], maxBytes=150)
    e.x("Fetch", 17, fe([(i, 0, 9)], maxWaitMs=400, minBytes=1), what="minBytes 1, maxWait 400 at the end of the log", timed=350)
    e.x("Fetch", 17, fe([(i, 0, 0)], maxWaitMs=400, minBytes=100000), what="minBytes 100000, maxWait 400, some data: waits and returns it", timed=350)
    e.x("Fetch", 17, fe([(i, 0, 99)], maxWaitMs=20000, minBytes=1), what="out of range: does not wait", timed=15000)
    e.x("Fetch", 17, fe([(i, 0, 9), (i, 9, 0)], maxWaitMs=400, minBytes=1), what="one partition does not exist: it waits all the same", timed=350)
    e.x("Fetch", 17, fe([(i, 0, 9), (i, 1, 99)], maxWaitMs=20000, minBytes=1), what="one partition out of range: does not wait", timed=15000)
    e.x("Fetch", 17, {"maxWaitMs": 20000, "minBytes": 1, "topics": []}, what="no partitions: does not wait", timed=15000)
    e.x("Fetch", 17, fe([(i, 0, 9)], maxWaitMs=20000, minBytes=0), what="minBytes 0: does not wait", timed=15000)
    F("current leader epoch right", [(i, 0, 6, {"currentLeaderEpoch": 0})])
    F("current leader epoch ahead", [(i, 0, 6, {"currentLeaderEpoch": 5})])
    F("lastFetchedEpoch 0", [(i, 0, 6, {"lastFetchedEpoch": 0})])
    F("lastFetchedEpoch ahead of every epoch", [(i, 0, 6, {"lastFetchedEpoch": 3})])
    F("the same partition twice", [(i, 0, 6), (i, 0, 3)])
    F("rack id", [(i, 0, 6)], rackId="r1")
    F("isolation level 1 without transactions", [(i, 0, 6)], isolationLevel=1)
    F("isolation level 7", [(i, 0, 6)], isolationLevel=7)
    e.x("Fetch", 17, {**fe([(i, 0, 6)]), "replicaState": {"replicaId": 98, "replicaEpoch": -1}}, what="as replica 98")
    e.x("Fetch", 17, {**fe([(i, 0, 6)]), "replicaState": {"replicaId": -2, "replicaEpoch": -1}}, what="as debugging consumer -2")
    e.x("Fetch", 17, {**fe([(i, 0, 6)]), "clusterId": "wrong"}, what="wrong cluster id")
    c, d = e.conn(), e.conn()
    t0 = time.monotonic()
    c.send("Fetch", 17, fe([(i, 2, 0)], maxWaitMs=20000, minBytes=1))
    time.sleep(0.2)
    d.call("Produce", 13, pr(i, batch(1), part=2))
    r = c.recv("Fetch", 17)[1]
    e.what = "a waiting fetch is woken by a produce"
    e.put("Fetch", 17, fe([(i, 2, 0)], maxWaitMs=20000, minBytes=1), r, waited=time.monotonic() - t0 > 15)
    c.close(), d.close()


@probe("fetch-sessions")
def _(e):
    t, i = e.topic("fs", 3)
    e.produce(i, 0, batch(2))
    c = e.conn()
    sid = []

    def learn(r):
        sid.append(r["sessionId"])
        e.remember(r["sessionId"], "SESSION")
    X = lambda what, parts, s, ep, forget=(), conn=c, v=17: e.x("Fetch", v, {**fe(parts), "sessionId": s, "sessionEpoch": ep, "forgottenTopicsData": [{"topicId": a, "partitions": list(b)} for a, b in forget]}, conn=conn, what=what, learn=learn)
    X("open: session 0, epoch 0", [(i, 0, 0), (i, 1, 0)], 0, 0)
    s = sid[0]
    X("epoch 1, nothing changed: partitions with data come again", [], s, 1)
    X("epoch 2, fetch offset moved to the end", [(i, 0, 2)], s, 2)
    X("epoch 3, nothing new: no partitions", [], s, 3)
    e.produce(i, 1, batch(1))
    X("epoch 4, new data in partition 1 only", [], s, 4)
    X("epoch 5, partition 2 added, partition 0 forgotten", [(i, 1, 1), (i, 2, 0)], s, 5, [(i, [0])])
    X("epoch 6", [], s, 6)
    X("epoch 7, a partition that does not exist added", [(i, 9, 0)], s, 7)
    X("epoch 8: its error comes again", [], s, 8)
    X("epoch 9, unknown topic id added", [(NOID, 0, 0)], s, 9)
    X("epoch 10", [], s, 10)
    X("epoch 11, forget what is not in the session", [], s, 11, [(i, [77])])
    X("epoch 5 again: wrong epoch", [], s, 5)
    X("epoch 12: the session is still there", [], s, 12)
    X("the session from another connection", [], s, 13, conn=e.conn())
    X("unknown session id", [], 12345, 1)
    X("session id with epoch 0: replaced by a new one", [(i, 0, 0)], s, 0)
    X("the old session is gone", [], s, 14)
    X("session 0 with epoch 3", [(i, 0, 0)], 0, 3)
    X("session 0 with epoch -1: no session", [(i, 0, 0)], 0, -1)
    X("close with epoch -1", [(i, 0, 0)], sid[-1] if sid[-1] else s, -1)
    X("open with nothing in it", [], 0, 0)
    X("session 0, epoch -1, nothing asked", [], 0, -1)


@probe("fetch-aborted")
def _(e):
    t, i = e.topic("fa")
    p = txn_begin(e, "fa")
    e.produce(i, 0, batch(2))
    e.produce(i, 0, batch(2, pid=p["pid"], epoch=p["epoch"], seq=0, txn=True), txn=p["id"])
    e.x("Fetch", 17, fe([(i, 0, 0)], isolationLevel=1), what="read committed, transaction open")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="read uncommitted, transaction open")
    e.x("Fetch", 17, fe([(i, 0, 3)], isolationLevel=1), what="read committed from behind the last stable offset")
    e.x("Fetch", 17, fe([(i, 0, 2)], isolationLevel=1, maxWaitMs=400, minBytes=1), what="read committed at the last stable offset: waits", timed=350)
    e.x("ListOffsets", 11, lo(t, -1, iso=1), what="latest, read committed")
    e.x("ListOffsets", 11, lo(t, -1), what="latest, read uncommitted")
    e.q("EndTxn", 5, {"transactionalId": p["id"], "producerId": p["pid"], "producerEpoch": p["epoch"], "committed": False})
    txn_done(e, p["id"])
    e.produce(i, 0, batch(1))
    e.x("Fetch", 17, fe([(i, 0, 0)], isolationLevel=1), what="read committed, transaction aborted")
    e.x("Fetch", 17, fe([(i, 0, 5)], isolationLevel=1), what="read committed from behind the aborted transaction")
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="read uncommitted, transaction aborted")
    e.x("Fetch", 4, {"maxWaitMs": 0, "minBytes": 0, "isolationLevel": 1, "topics": [{"topic": t, "partitions": [{"partition": 0, "partitionMaxBytes": 10000}]}]}, what="v4 read committed")


def lo(t, ts, iso=0, part=0, epoch=None, ver=11):
    p = {"partitionIndex": part, "timestamp": ts}
    if epoch is not None:
        p["currentLeaderEpoch"] = epoch
    b = {"replicaId": -1, "topics": [{"name": t, "partitions": [p]}]}
    if ver >= 2:
        b["isolationLevel"] = iso
    if ver >= 10:
        b["timeoutMs"] = 3000
    return b


@probe("list-offsets")
def _(e):
    t, i = e.topic("lo", 2)
    e.produce(i, 0, batch([(b"a", b"1", T0), (b"b", b"2", T0 + 100), (b"c", b"3", T0 + 50)]))
    e.produce(i, 0, batch([(b"a", b"1", T0 + 20), (b"b", b"2", T0 + 200)]))
    e.produce(i, 0, batch([(b"a", b"1", T0 + 200), (b"b", b"2", T0 + 10)]))
    e.q("DeleteRecords", 2, {"topics": [{"name": t, "partitions": [{"partitionIndex": 0, "offset": 1}]}], "timeoutMs": 3000})
    L = lambda what, ts, v=11, **kw: e.x("ListOffsets", v, lo(t, ts, ver=v, **kw), what=what)
    for ts, w in ((-1, "latest"), (-2, "earliest"), (-3, "max timestamp"), (-4, "earliest local"), (-5, "latest tiered"), (-6, "earliest pending upload"), (-7, "-7"), (0, "time 0"), (T0, "time of the first record"), (T0 + 60, "time inside a batch"), (T0 + 101, "time after the first batch"), (T0 + 200, "time of the highest"), (T0 + 201, "time after the last"), (-100, "-100")):
        L(w, ts)
    L("v1 latest", -1, 1)
    L("v1 time", T0 + 60, 1)
    L("v4 latest with leader epoch", -1, 4, epoch=0)
    L("v6 max timestamp", -3, 6)
    L("v7 max timestamp", -3, 7)
    L("v7 earliest local", -4, 7)
    L("v8 latest tiered", -5, 8)
    L("v10 earliest pending upload", -6, 10)
    L("empty partition, latest", -1, part=1)
    L("empty partition, max timestamp", -3, part=1)
    L("empty partition, time", T0, part=1)
    L("partition that does not exist", -1, part=9)
    L("leader epoch ahead", -1, epoch=4)
    e.x("ListOffsets", 11, lo(e.n("nowhere"), -1), what="unknown topic")
    e.x("ListOffsets", 11, lo("bad name!", -1), what="invalid topic name")
    e.x("ListOffsets", 11, {"replicaId": -1, "timeoutMs": 1000, "topics": [{"name": t, "partitions": [{"partitionIndex": 0, "timestamp": -1}, {"partitionIndex": 0, "timestamp": -2}, {"partitionIndex": 1, "timestamp": -1}]}]}, what="the same partition twice")
    e.x("ListOffsets", 11, {**lo(t, -1), "isolationLevel": 5}, what="isolation level 5")
    E = lambda what, ep, cur=-1, part=0, v=4, nm=t: e.x("OffsetForLeaderEpoch", v, {"replicaId": -1, "topics": [{"topic": nm, "partitions": [{"partition": part, "currentLeaderEpoch": cur, "leaderEpoch": ep}]}]} if v >= 3 else {"topics": [{"topic": nm, "partitions": [{"partition": part, "currentLeaderEpoch": cur, "leaderEpoch": ep}]}]}, what=what)
    E("OffsetForLeaderEpoch: epoch 0", 0)
    E("OffsetForLeaderEpoch v2", 0, v=2)
    E("OffsetForLeaderEpoch: an epoch that has not been", 7)
    E("OffsetForLeaderEpoch: epoch -1", -1)
    E("OffsetForLeaderEpoch: current epoch ahead", 0, 5)
    E("OffsetForLeaderEpoch: partition does not exist", 0, part=9)
    E("OffsetForLeaderEpoch: unknown topic", 0, nm=e.n("nowhere"))


@probe("delete-records")
def _(e):
    t, i = e.topic("dr", 2)
    for _ in range(4):
        e.produce(i, 0, batch(5))
    D = lambda what, off, part=0, nm=t: e.x("DeleteRecords", 2, {"topics": [{"name": nm, "partitions": [{"partitionIndex": part, "offset": off}]}], "timeoutMs": 3000}, what=what)
    D("up to 7, inside a batch", 7)
    e.x("Fetch", 17, fe([(i, 0, 7)]), what="fetch from the new start")
    e.x("Fetch", 17, fe([(i, 0, 6)]), what="fetch below the new start")
    e.x("ListOffsets", 11, lo(t, -2), what="earliest")
    D("up to 5: below the start", 5)
    D("up to 21: beyond the high watermark", 21)
    D("-1: all", -1)
    D("-2", -2)
    D("partition does not exist", 0, 9)
    D("unknown topic", 0, 0, e.n("nowhere"))
    D("empty partition, 0", 0, 1)
    e.x("Produce", 13, pr(i, batch(1)), what="produce after it: logStartOffset")
    tc, ic = e.topic("drc", 1, cleanup_policy="compact")
    e.produce(ic, 0, batch(2))
    D("a compacted topic", 1, 0, tc)
    D("an internal topic", 1, 0, "__consumer_offsets")


# ================================================================ coordinators and classic groups
@probe("find-coordinator")
def _(e):
    F = lambda what, v, **kw: e.x("FindCoordinator", v, kw, what=what)
    F("v0 group", 0, key=e.n("g"))
    F("v3 group", 3, key=e.n("g"), keyType=0)
    F("v6, three groups", 6, keyType=0, coordinatorKeys=[e.n("a"), e.n("b"), e.n("a")])
    F("v6, no keys", 6, keyType=0, coordinatorKeys=[])
    F("v6, empty group id", 6, keyType=0, coordinatorKeys=[""])
    F("v6 transaction", 6, keyType=1, coordinatorKeys=[e.n("t")])
    F("v6 transaction, empty id", 6, keyType=1, coordinatorKeys=[""])
    F("v6 share, a good key", 6, keyType=2, coordinatorKeys=["%s:%s:0" % (e.n("g"), NOID)])
    F("v6 share, key without a topic id", 6, keyType=2, coordinatorKeys=["justagroup"])
    F("v5 share", 5, keyType=2, coordinatorKeys=["%s:%s:0" % (e.n("g"), NOID)])
    F("v6 key type 9", 6, keyType=9, coordinatorKeys=["x"])
    F("v3 key type 9", 3, keyType=9, key="x")
    for k in range(60):
        r = e.q("FindCoordinator", 3, {"key": e.n("g"), "keyType": 0})
        r2 = e.q("FindCoordinator", 3, {"key": e.n("t"), "keyType": 1})
        if r["errorCode"] == 0 and r2["errorCode"] in (0, 35):
            break
        time.sleep(0.25)
    F("again, now that the coordinator is there", 4, keyType=0, coordinatorKeys=[e.n("g")])
    F("again v2", 2, keyType=0, key=e.n("g"))


SUB = struct.pack(">hih", 1, 1, 1) + b"t" + struct.pack(">ii", -1, 0)


def jg(g, member="", proto="range", ptype="consumer", inst=None, session=60000, rebalance=60000, ver=9, protos=None, reason=None):
    b = {"groupId": g, "sessionTimeoutMs": session, "memberId": member, "protocolType": ptype, "protocols": [{"name": p, "metadata": SUB} for p in (protos if protos is not None else [proto])]}
    if ver >= 1:
        b["rebalanceTimeoutMs"] = rebalance
    if ver >= 5:
        b["groupInstanceId"] = inst
    if ver >= 8:
        b["reason"] = reason
    return b


def learn_member(e, box=None):
    def f(r):
        if r.get("memberId"):
            e.remember(r["memberId"], "MEMBER")
            if box is not None:
                box.append(r["memberId"])
    return f


@probe("join-group")
def _(e):
    g = e.n("jg")
    box = []
    J = lambda what, v=9, conn=None, **kw: e.x("JoinGroup", v, jg(kw.pop("g", g), ver=v, **kw), what=what, learn=learn_member(e, box), conn=conn)
    J("no member id: the broker gives one", 9)
    m = box[0]
    J("with the given member id: leader", 9, member=m)
    S = lambda what, **kw: e.x("SyncGroup", 5, {"groupId": g, "generationId": 1, "memberId": m, "protocolType": "consumer", "protocolName": "range", "assignments": [{"memberId": m, "assignment": b"assign"}], **kw}, what=what)
    H = lambda what, v=4, **kw: e.x("Heartbeat", v, {"groupId": g, "generationId": 1, "memberId": m, **kw}, what=what)
    H("heartbeat before sync")
    S("sync: wrong generation", generationId=9)
    S("sync: unknown member", memberId="nobody")
    S("sync: wrong protocol name", protocolName="roundrobin")
    S("sync: wrong protocol type", protocolType="connect")
    S("sync: null protocol name and type", protocolName=None, protocolType=None)
    S("sync again in the stable state")
    H("heartbeat")
    H("heartbeat: wrong generation", generationId=7)
    H("heartbeat: unknown member", memberId="nobody")
    H("heartbeat: unknown group", groupId=e.n("nowhere"))
    H("heartbeat: empty group id", groupId="")
    H("heartbeat: group instance id that is not there", groupInstanceId="inst")
    J("a member id that is not there", member="nobody")
    J("no common protocol", member="", proto="other", v=3)
    J("another protocol type", ptype="connect", v=3)
    J("no protocols, an empty group", g=e.n("jg2"), protos=[], v=3)
    J("empty protocol type", g=e.n("jg2"), ptype="", v=3)
    J("empty group id", g="")
    J("session timeout below the minimum", g=e.n("jg2"), session=100)
    J("session timeout above the maximum", g=e.n("jg2"), session=100000000)
    J("the leader joins again with the same protocols: a new generation", member=m)
    e.x("SyncGroup", 5, {"groupId": g, "generationId": 2, "memberId": m, "protocolType": "consumer", "protocolName": "range", "assignments": [{"memberId": m, "assignment": b"assign"}, {"memberId": "nobody", "assignment": b"x"}]}, what="sync of generation 2, with an assignment for an unknown member")
    e.x("DescribeGroups", 6, {"groups": [g, e.n("nowhere"), ""]}, what="describe")
    e.x("DescribeGroups", 5, {"groups": [g, e.n("nowhere")], "includeAuthorizedOperations": True}, what="describe v5")
    e.x("DescribeGroups", 0, {"groups": [e.n("nowhere")]}, what="describe v0")
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": []}, what="list", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    e.x("ListGroups", 4, {"statesFilter": ["Stable", "empty"]}, what="list v4 with states", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    e.x("ListGroups", 5, {"statesFilter": ["Nonsense"], "typesFilter": []}, what="list: unknown state", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": ["nonsense"]}, what="list: unknown type", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": ["CLASSIC"]}, what="list: type classic in capitals", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    e.x("DeleteGroups", 2, {"groupsNames": [g, e.n("nowhere"), ""]}, what="delete: a group with members, an unknown one, an empty id")
    # a second member arrives
    c, d = e.conn(), e.conn()
    r = d.call("JoinGroup", 9, jg(g))
    m2 = r["memberId"]
    e.remember(m2, "MEMBER")
    d.send("JoinGroup", 9, jg(g, m2))
    # its join is another connection's: it is there when the group says so
    wait(lambda: e.q("DescribeGroups", 5, {"groups": [g]})["groups"][0]["groupState"] == "PreparingRebalance")
    H("heartbeat while the group rebalances", generationId=2)
    H("heartbeat while the group rebalances, v0", 0, generationId=2)
    H("heartbeat of the generation before", generationId=1)
    e.x("DescribeGroups", 6, {"groups": [g]}, what="describe while it rebalances")
    e.x("OffsetCommit", 9, {"groupId": g, "generationIdOrMemberEpoch": 2, "memberId": m, "topics": [{"name": e.topic("jgt")[0], "partitions": [{"partitionIndex": 0, "committedOffset": 1}]}]}, what="commit while it rebalances")
    r1 = e.x("JoinGroup", 9, jg(g, m), conn=c, what="the first member joins again: leader with both members")
    r2 = d.recv("JoinGroup", 9)[1]
    e.what = "the second member's reply"
    e.put("JoinGroup", 9, jg(g, m2), r2)
    gen = r1["generationId"]
    d.send("SyncGroup", 5, {"groupId": g, "generationId": gen, "memberId": m2, "protocolType": "consumer", "protocolName": "range"})
    e.x("SyncGroup", 5, {"groupId": g, "generationId": gen, "memberId": m, "protocolType": "consumer", "protocolName": "range", "assignments": [{"memberId": m, "assignment": b"one"}, {"memberId": m2, "assignment": b"two"}]}, conn=c, what="the leader syncs")
    e.what = "the follower's reply"
    e.put("SyncGroup", 5, {"groupId": g, "generationId": gen, "memberId": m2}, d.recv("SyncGroup", 5)[1])
    L = lambda what, v=5, **kw: e.x("LeaveGroup", v, {"groupId": g, **kw}, what=what)
    L("leave: an unknown and a known member", members=[{"memberId": "nobody", "groupInstanceId": None, "reason": None}, {"memberId": m2, "groupInstanceId": None, "reason": "bye"}])
    L("leave: unknown instance id", members=[{"memberId": "", "groupInstanceId": "inst", "reason": None}])
    L("leave: v0, unknown member", 0, memberId="nobody")
    L("leave: v0", 0, memberId=m)
    L("leave: unknown group", groupId=e.n("nowhere"), members=[{"memberId": "x", "groupInstanceId": None, "reason": None}])
    L("leave: no members", members=[])
    e.x("DescribeGroups", 6, {"groups": [g]}, what="describe the empty group")
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="delete the empty group")
    e.x("DescribeGroups", 6, {"groups": [g]}, what="describe after delete")


@probe("static-membership")
def _(e):
    g = e.n("sm")
    t, i = e.topic("sm")
    box = []
    J = lambda what, v=9, **kw: e.x("JoinGroup", v, jg(g, ver=v, **kw), what=what, learn=learn_member(e, box))
    J("static member joins: no extra round for its member id", inst="i1")
    m = box[0]
    e.x("SyncGroup", 5, {"groupId": g, "generationId": 1, "memberId": m, "groupInstanceId": "i1", "protocolType": "consumer", "protocolName": "range", "assignments": [{"memberId": m, "assignment": b"a"}]}, what="sync")
    J("the same instance joins with an empty member id: it takes the place", inst="i1")
    m2 = box[-1]
    e.x("Heartbeat", 4, {"groupId": g, "generationId": 1, "memberId": m, "groupInstanceId": "i1"}, what="the old member is fenced")
    e.x("Heartbeat", 4, {"groupId": g, "generationId": 1, "memberId": m2, "groupInstanceId": "i1"}, what="the new one is not")
    e.x("SyncGroup", 5, {"groupId": g, "generationId": 1, "memberId": m, "groupInstanceId": "i1", "protocolType": "consumer", "protocolName": "range"}, what="the old member syncs")
    J("the old member id with the instance id", member=m, inst="i1")
    e.x("OffsetCommit", 9, {"groupId": g, "generationIdOrMemberEpoch": 1, "memberId": m, "groupInstanceId": "i1", "topics": [{"name": t, "partitions": [{"partitionIndex": 0, "committedOffset": 1}]}]}, what="the old member commits")
    e.x("DescribeGroups", 6, {"groups": [g]}, what="describe")
    e.x("LeaveGroup", 5, {"groupId": g, "members": [{"memberId": m, "groupInstanceId": "i1", "reason": None}]}, what="leave: old member id with the instance id")
    e.x("LeaveGroup", 5, {"groupId": g, "members": [{"memberId": "", "groupInstanceId": "i1", "reason": None}]}, what="leave by instance id alone")


@probe("offsets")
def _(e):
    t, i = e.topic("of", 2)
    g = e.n("of")
    C = lambda what, v=9, parts=((0, 5),), **kw: e.x("OffsetCommit", v, {"groupId": g, "generationIdOrMemberEpoch": -1, "memberId": "", "topics": [{**({"topicId": kw.pop("tid", i)} if v >= 10 else {"name": kw.pop("nm", t)}), "partitions": [{"partitionIndex": p, "committedOffset": o, **kw.pop("more", {})} for p, o in parts]}], **kw}, what=what)
    C("a simple consumer: no generation, no member")
    C("v2", 2)
    C("v10 by topic id", 10, ((0, 6),))
    C("v10 unknown topic id", 10, tid=NOID)
    C("unknown topic", nm=e.n("nowhere"))
    C("partition that does not exist", parts=((9, 1),))
    C("good and bad partition", parts=((0, 7), (9, 1)))
    C("offset -1", parts=((1, -1),))
    C("metadata of 4097 bytes", more={"committedMetadata": "m" * 4097})
    C("metadata of 4096 bytes", more={"committedMetadata": "m" * 4096}, parts=((1, 3),))
    C("metadata of 4096 bytes in 2-byte characters", more={"committedMetadata": "é" * 2048}, parts=((1, 3),))
    C("metadata of 4096 characters, 8192 bytes", more={"committedMetadata": "é" * 4096}, parts=((1, 3),))
    C("metadata m", more={"committedMetadata": "m"}, parts=((1, 3),))
    C("metadata null", more={"committedMetadata": None})
    C("leader epoch 3", more={"committedLeaderEpoch": 3})
    C("empty group id", groupId="")
    C("generation 5 in a group without members", generationIdOrMemberEpoch=5, memberId="m")
    C("generation 5, unknown group", groupId=e.n("nog"), generationIdOrMemberEpoch=5, memberId="m")
    C("generation -1 with a member id", memberId="m")
    C("generation -1 with an instance id", groupInstanceId="i")
    e.x("OffsetCommit", 9, {"groupId": g, "generationIdOrMemberEpoch": -1, "topics": []}, what="no topics")
    O = lambda what, groups, v=9, **kw: e.x("OffsetFetch", v, {"groups": groups, **kw}, what=what)
    tp = [{"name": t, "partitionIndexes": [0, 1, 9]}]
    e.x("OffsetFetch", 1, {"groupId": g, "topics": tp}, what="v1: partition 9 does not exist")
    e.x("OffsetFetch", 2, {"groupId": g, "topics": None}, what="v2: null topics: all")
    e.x("OffsetFetch", 7, {"groupId": g, "topics": None, "requireStable": True}, what="v7: all")
    O("v8: two groups, one unknown", [{"groupId": g, "topics": tp}, {"groupId": e.n("nowhere"), "topics": tp}], 8, requireStable=False)
    O("v9: all topics", [{"groupId": g, "topics": None}])
    O("v9: no topics", [{"groupId": g, "topics": []}])
    O("v9: unknown topic", [{"groupId": g, "topics": [{"name": e.n("nowhere"), "partitionIndexes": [0]}]}])
    O("v9: all topics of an unknown group", [{"groupId": e.n("nowhere"), "topics": None}])
    O("v9: member id and epoch in a group without members", [{"groupId": g, "memberId": "m", "memberEpoch": 3, "topics": tp}])
    O("v9: empty group id", [{"groupId": "", "topics": tp}])
    e.q("DeleteGroups", 2, {"groupsNames": [""]})
    O("v9: no groups", [])
    O("v9: the same group twice", [{"groupId": g, "topics": []}, {"groupId": g, "topics": None}])
    O("v10 by topic id", [{"groupId": g, "topics": [{"topicId": i, "partitionIndexes": [0, 1, 9]}, {"topicId": NOID, "partitionIndexes": [0]}]}], 10)
    O("v10 all", [{"groupId": g, "topics": None}], 10)
    e.x("DescribeGroups", 6, {"groups": [g]}, what="describe a group that has only offsets")
    # a member joins
    m = []
    e.x("JoinGroup", 3, jg(g, ver=3), what="a member joins", learn=learn_member(e, m))
    C("commit without member while the group has members")
    C("commit before sync", generationIdOrMemberEpoch=1, memberId=m[0])
    e.x("SyncGroup", 3, {"groupId": g, "generationId": 1, "memberId": m[0], "assignments": []}, what="sync")
    C("commit in the stable state", generationIdOrMemberEpoch=1, memberId=m[0])
    C("commit, wrong generation", generationIdOrMemberEpoch=4, memberId=m[0])
    C("commit, unknown member", generationIdOrMemberEpoch=1, memberId="x")
    C("commit, generation -1 with the member id", memberId=m[0])
    D = lambda what, gg=g, ts=None: e.x("OffsetDelete", 0, {"groupId": gg, "topics": ts if ts is not None else [{"name": t, "partitions": [{"partitionIndex": 0}, {"partitionIndex": 9}]}, {"name": e.n("nowhere"), "partitions": [{"partitionIndex": 0}]}]}, what=what)
    D("OffsetDelete while the group is subscribed to t only")
    D("OffsetDelete: unknown group", e.n("nowhere"))
    D("OffsetDelete: empty group id", "")
    D("OffsetDelete: no topics", ts=[])
    e.x("LeaveGroup", 5, {"groupId": g, "members": [{"memberId": m[0], "groupInstanceId": None, "reason": None}]}, what="leave")
    D("OffsetDelete of the empty group")
    O("after it", [{"groupId": g, "topics": None}])


@probe("offset-delete")
def _(e):
    t, i = e.topic("od")
    u, iu = e.topic("od2")
    g = e.n("od")
    for n in (t, u):
        e.q("OffsetCommit", 9, {"groupId": g, "generationIdOrMemberEpoch": -1, "memberId": "", "topics": [{"name": n, "partitions": [{"partitionIndex": 0, "committedOffset": 1}]}]})
    sub = struct.pack(">hih", 1, 1, len(t)) + t.encode() + struct.pack(">ii", -1, 0)
    m = []
    e.x("JoinGroup", 3, {**jg(g, ver=3), "protocols": [{"name": "range", "metadata": sub}]}, what="a member subscribed to the first of two topics", learn=learn_member(e, m), note=lambda r: {**r, "members": len(r["members"])})
    e.x("SyncGroup", 3, {"groupId": g, "generationId": 1, "memberId": m[0], "assignments": []}, what="sync")
    D = lambda what: e.x("OffsetDelete", 0, {"groupId": g, "topics": [{"name": n, "partitions": [{"partitionIndex": 0}]} for n in (t, u)]}, what=what)
    D("OffsetDelete of a subscribed topic and of another one")
    e.x("JoinGroup", 3, {**jg(g, m[0], ver=3), "protocols": [{"name": "range", "metadata": b"?"}]}, what="the member joins with metadata that is no subscription", note=lambda r: {**r, "members": len(r["members"])})
    e.x("SyncGroup", 3, {"groupId": g, "generationId": 2, "memberId": m[0], "assignments": []}, what="sync")
    D("OffsetDelete when the subscription cannot be read")


# ================================================================ transactions
def txn_done(e, tid):
    """waits until what was ended is complete"""
    wait(lambda: "Prepare" not in e.q("DescribeTransactions", 0, {"transactionalIds": [tid]})
         ["transactionStates"][0]["transactionState"])


def txn_begin(e, name, timeout=60000):
    tid = e.n(name)
    for _ in range(80):
        r = e.q("InitProducerId", 5, {"transactionalId": tid, "transactionTimeoutMs": timeout})
        if r["errorCode"] in (0, 35):   # 35: not served there
            break
        time.sleep(0.25)
    e.remember(r["producerId"], "PID")
    return {"id": tid, "pid": r["producerId"], "epoch": r["producerEpoch"]}


@probe("init-producer-id")
def _(e):
    t = e.n("ipi")
    txn_begin(e, "warm")
    I = lambda what, v=5, **kw: e.x("InitProducerId", v, {"transactionalId": t, "transactionTimeoutMs": 60000, **kw}, what=what, learn=lambda r: e.remember(r["producerId"], "PID"))
    r = I("first")
    r2 = I("again: the epoch rises")
    p = r["producerId"]
    I("with the current id and epoch", producerId=p, producerEpoch=1)
    I("with an old epoch", producerId=p, producerEpoch=0)
    I("with an epoch ahead", producerId=p, producerEpoch=9)
    I("with another producer id", producerId=p + 77, producerEpoch=2)
    I("producer id without epoch", producerId=p, producerEpoch=-1)
    I("timeout 0", transactionTimeoutMs=0, transactionalId=e.n("ipi2"))
    I("timeout -1", transactionTimeoutMs=-1, transactionalId=e.n("ipi2"))
    I("timeout above transaction.max.timeout.ms", transactionTimeoutMs=900001, transactionalId=e.n("ipi2"))
    I("v0", 0)
    I("v2", 2)


@probe("transactions")
def _(e):
    t, i = e.topic("tx", 2)
    p = txn_begin(e, "tx")
    A = lambda what, v=3, parts=(0,), nm=t, ep=None, pid=None, tid=None: e.x("AddPartitionsToTxn", v, {"v3AndBelowTransactionalId": tid or p["id"], "v3AndBelowProducerId": p["pid"] if pid is None else pid, "v3AndBelowProducerEpoch": p["epoch"] if ep is None else ep, "v3AndBelowTopics": [{"name": nm, "partitions": list(parts)}]}, what=what)
    def E(what, commit=True, v=4, ep=None, pid=None, tid=None):
        def learn(r):
            if r.get("producerId", -1) > 0:
                e.remember(r["producerId"], "PID")
        return e.x("EndTxn", v, {"transactionalId": tid or p["id"], "producerId": p["pid"] if pid is None else pid, "producerEpoch": p["epoch"] if ep is None else ep, "committed": commit}, what=what, learn=learn)
    E("v4: commit with nothing begun")
    E("v4: abort with nothing begun", False)
    A("v3: add")
    A("v3: add again", parts=(0, 1))
    A("v3: partition that does not exist", parts=(0, 9))
    A("v3: unknown topic", nm=e.n("nowhere"))
    A("v3: old epoch", ep=-1)
    A("v3: epoch ahead", ep=7)
    A("v3: other producer id", pid=p["pid"] + 55)
    A("v3: unknown transactional id", tid=e.n("nowhere"))
    A("v0", 0)
    e.x("Produce", 11, pr(t, batch(1, pid=p["pid"], epoch=p["epoch"], seq=0, txn=True), acks=-1, txn=p["id"], ver=11), what="produce v11 into the transaction")
    e.x("DescribeTransactions", 0, {"transactionalIds": [p["id"], e.n("nowhere"), ""]}, what="describe")
    e.x("ListTransactions", 2, {"stateFilters": ["Ongoing", "Nonsense"], "producerIdFilters": [p["pid"]], "durationFilter": -1, "transactionalIdPattern": None}, what="list: by producer, one unknown state")
    e.x("ListTransactions", 2, {"stateFilters": [], "producerIdFilters": [p["pid"]], "durationFilter": 1000000, "transactionalIdPattern": None}, what="list: running longer than 1000 s")
    e.x("ListTransactions", 2, {"stateFilters": [], "producerIdFilters": [], "durationFilter": -1, "transactionalIdPattern": "tx-" + e.run}, what="list: by pattern")
    e.x("ListTransactions", 2, {"stateFilters": [], "producerIdFilters": [], "durationFilter": -1, "transactionalIdPattern": "(("}, what="list: bad pattern")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": [0]}]}, what="producers of the partition, transaction open")
    E("v4: commit")
    txn_done(e, p["id"])
    E("v4: commit again")
    E("v4: abort after commit", False)
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="the partition after the commit")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": [0]}]}, what="producers of the partition after the commit")
    A("v3: add for the next transaction")
    E("v4: old epoch", ep=-1)
    E("v4: epoch ahead", ep=9)
    E("v4: other producer id", pid=p["pid"] + 55)
    E("v4: unknown transactional id", tid=e.n("nowhere"))
    E("v4: abort without records", False)
    txn_done(e, p["id"])
    e.x("ListOffsets", 11, lo(t, -1), what="the end of the log: the abort marker is written")
    # version 5: the epoch rises with every transaction
    p = txn_begin(e, "tx5")
    r = E("v5: commit with nothing begun", v=5)
    p["epoch"] = r["producerEpoch"] if r and r["errorCode"] == 0 and r["producerEpoch"] >= 0 else p["epoch"]
    r = E("v5: abort with nothing begun", False, v=5)
    p["epoch"] = r["producerEpoch"] if r and r["errorCode"] == 0 and r["producerEpoch"] >= 0 else p["epoch"]
    t, i = e.topic("tx5", 2)
    W = lambda what, seq, ep=None, part=0, tid=None, pid=None: e.x("Produce", 13, pr(i, batch(1, pid=p["pid"] if pid is None else pid, epoch=p["epoch"] if ep is None else ep, seq=seq, txn=True), acks=-1, txn=tid or p["id"], part=part), what=what)
    W("v13: a produce adds its partition by itself", 0)
    e.x("DescribeTransactions", 0, {"transactionalIds": [p["id"]]}, what="describe")
    W("v13: epoch ahead", 1, p["epoch"] + 3)
    W("v13: old epoch", 1, p["epoch"] - 1)
    W("v13: another transactional id", 0, tid=e.n("other"), part=1)
    W("v13: another producer id", 0, pid=p["pid"] + 55, part=1)
    r = E("v5: commit", v=5)
    old = p["epoch"]
    p["epoch"] = r["producerEpoch"] if r else old
    txn_done(e, p["id"])
    e.x("Fetch", 17, fe([(i, 0, 0)]), what="the partition: epochs of the data and of the marker")
    W("v13: the epoch before the commit", 1, old)
    E("v5: the same commit again with the old epoch (a retry)", v=5, ep=old)
    W("v13: the new epoch starts at sequence 0", 0)
    e.x("Produce", 13, pr(i, batch(1, pid=p["pid"], epoch=p["epoch"], seq=1), acks=-1), what="v13: not transactional with a transactional producer's id, transaction open")
    # fencing
    q = txn_begin(e, "tx5")
    W("v13: after another InitProducerId of the same transactional id", 1)
    E("v5: likewise", v=5)
    txn_done(e, p["id"])
    e.x("ListOffsets", 11, lo(t, -1, iso=1), what="latest, read committed: the open transaction was aborted")
    e.x("WriteTxnMarkers", 1, {"markers": [{"producerId": 4000001, "producerEpoch": 0, "transactionResult": True, "coordinatorEpoch": 0, "topics": [{"name": e.n("nowhere"), "partitionIndexes": [0]}]}]}, what="WriteTxnMarkers, unknown topic")
    e.x("AddPartitionsToTxn", 5, {"transactions": [{"transactionalId": q["id"], "producerId": q["pid"], "producerEpoch": q["epoch"], "verifyOnly": True, "topics": [{"name": t, "partitions": [0]}]}]}, what="AddPartitionsToTxn v5 verify only")
    e.x("AddPartitionsToTxn", 4, {"transactions": [{"transactionalId": q["id"], "producerId": q["pid"], "producerEpoch": q["epoch"], "verifyOnly": False, "topics": [{"name": t, "partitions": [0, 9]}]}, {"transactionalId": e.n("nowhere"), "producerId": 1, "producerEpoch": 0, "verifyOnly": False, "topics": [{"name": t, "partitions": [0]}]}]}, what="AddPartitionsToTxn v4, two transactions")


@probe("txn-offsets")
def _(e):
    t, i = e.topic("to", 2)
    g = e.n("to")
    p = txn_begin(e, "to")
    O = lambda what, v=3, **kw: e.x("AddOffsetsToTxn", v, {"transactionalId": p["id"], "producerId": p["pid"], "producerEpoch": p["epoch"], "groupId": g, **kw}, what=what)
    C = lambda what, v=4, parts=((0, 5),), nm=t, **kw: e.x("TxnOffsetCommit", v, {"transactionalId": p["id"], "groupId": g, "producerId": p["pid"], "producerEpoch": p["epoch"], "topics": [{"name": nm, "partitions": [{"partitionIndex": a, "committedOffset": b} for a, b in parts]}], **kw}, what=what)
    O("AddOffsetsToTxn")
    O("AddOffsetsToTxn: old epoch", producerEpoch=-1)
    O("AddOffsetsToTxn: empty group id", groupId="")
    O("AddOffsetsToTxn: unknown transactional id", transactionalId=e.n("nowhere"))
    C("TxnOffsetCommit v4")
    C("TxnOffsetCommit: unknown topic", nm=e.n("nowhere"))
    C("TxnOffsetCommit: partition does not exist", parts=((9, 1),))
    C("TxnOffsetCommit: generation of no member", generationId=3, memberId="m")
    C("TxnOffsetCommit: empty group id", groupId="")
    F = lambda what, stable, v=9: e.x("OffsetFetch", v, {"groups": [{"groupId": g, "topics": [{"name": t, "partitionIndexes": [0, 1]}]}], "requireStable": stable}, what=what)
    F("OffsetFetch while the offset is pending, not stable", False)
    F("OffsetFetch while the offset is pending, stable only", True)
    e.x("OffsetFetch", 9, {"groups": [{"groupId": g, "topics": None}], "requireStable": True}, what="the same, all topics")
    e.x("OffsetFetch", 7, {"groupId": g, "topics": [{"name": t, "partitionIndexes": [0]}], "requireStable": True}, what="the same in v7")
    e.q("EndTxn", 4, {"transactionalId": p["id"], "producerId": p["pid"], "producerEpoch": p["epoch"], "committed": True})
    txn_done(e, p["id"])
    F("after the commit", True)
    p = txn_begin(e, "to")
    O("AddOffsetsToTxn")
    C("TxnOffsetCommit of 6")
    F("pending over a committed offset, not stable", False)
    F("pending over a committed offset, stable only", True)
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="delete the group while an offset is pending")
    e.q("EndTxn", 4, {"transactionalId": p["id"], "producerId": p["pid"], "producerEpoch": p["epoch"], "committed": True})
    txn_done(e, p["id"])
    F("after the commit", True)
    p = txn_begin(e, "to5")
    C("v5: without AddOffsetsToTxn", 5, ((1, 8),))
    C("v4: without AddOffsetsToTxn", 4, ((1, 9),))
    C("v5: old epoch", 5, ((1, 8),), producerEpoch=-1)
    e.q("EndTxn", 5, {"transactionalId": p["id"], "producerId": p["pid"], "producerEpoch": p["epoch"], "committed": False})
    txn_done(e, p["id"])
    F("after the abort", True)


# ================================================================ the new consumer group protocol
def uid(k):
    return base64.urlsafe_b64encode(bytes([k]) * 16).decode().rstrip("=")


def hb(g, m, epoch, **kw):
    return {"groupId": g, "memberId": m, "memberEpoch": epoch, **kw}


@probe("consumer-group")
def _(e):
    t, i = e.topic("cg", 3)
    time.sleep(1)   # let the coordinator see it
    g = e.n("cg")
    ep = {}

    def H(what, m, epoch, v=1, until=None, **kw):
        def learn(r):
            learn_member(e)(r)
            if r["errorCode"] == 0:
                ep[m] = r["memberEpoch"]
        return e.x("ConsumerGroupHeartbeat", v, hb(kw.pop("g", g), m, epoch, **kw), what=what, learn=learn, until=until)
    m1, m2 = uid(1) + e.run, uid(2) + e.run
    own = lambda *ps: [{"topicId": i, "partitions": list(ps)}] if ps else []
    full = dict(rebalanceTimeoutMs=10000, subscribedTopicNames=[t], topicPartitions=[])
    H("join without the fields a join needs", m1, 0)
    H("join without topicPartitions", m1, 0, rebalanceTimeoutMs=10000, subscribedTopicNames=[t])
    H("join with a topicPartitions that is not empty", m1, 0, rebalanceTimeoutMs=10000, subscribedTopicNames=[t], topicPartitions=own(0))
    H("join without a rebalance timeout", m1, 0, subscribedTopicNames=[t], topicPartitions=[])
    H("join without a subscription", m1, 0, rebalanceTimeoutMs=10000, topicPartitions=[])
    H("v1 with an empty member id", "", 0, **full)
    H("v0 with an empty member id: the broker makes one", "", 0, 0, g=e.n("cg0"), **full)
    H("empty group id", m1, 0, g="", **full)
    H("epoch 5 in a group that is not there", m1, 5, g=e.n("cgx"))
    H("leave a group that is not there", m1, -1, g=e.n("cgx"))
    H("unknown assignor", m1, 0, serverAssignor="nonsense", **full)
    H("bad regex", m1, 0, rebalanceTimeoutMs=10000, subscribedTopicRegex="((", topicPartitions=[])
    H("empty instance id", m1, 0, instanceId="", **full)
    H("epoch -3", m1, -3)
    H("join: the first epoch of a new group, and the assignment at once", m1, 0, **full)
    H("next heartbeat: nothing changed", m1, ep.get(m1, 1))
    H("the same epoch with the owned partitions", m1, ep.get(m1, 1), topicPartitions=own(0, 1, 2))
    H("the epoch before", m1, ep.get(m1, 1) - 1)
    H("the epoch before, owning nothing", m1, ep.get(m1, 1) - 1, topicPartitions=[])
    H("epoch ahead", m1, ep.get(m1, 1) + 1)
    H("unknown member", m2, 3)
    H("join again with epoch 0", m1, 0, **full)
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g, e.n("nowhere"), ""]}, what="describe")
    e.x("ConsumerGroupDescribe", 0, {"groupIds": [g], "includeAuthorizedOperations": True}, what="describe v0")
    e.x("DescribeGroups", 6, {"groups": [g]}, what="the old describe")
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": ["consumer"]}, what="list", note=lambda r: {**r, "groups": [x for x in r["groups"] if e.run in x["groupId"]]})
    C = lambda what, epoch, m=m1, v=9: e.x("OffsetCommit", v, {"groupId": g, "generationIdOrMemberEpoch": epoch, "memberId": m, "topics": [{"name": t, "partitions": [{"partitionIndex": 0, "committedOffset": 1}]}]}, what=what)
    C("commit with the member's epoch", ep[m1])
    C("commit with an epoch ahead", ep[m1] + 1)
    C("commit with the epoch before", ep[m1] - 1)
    C("commit, unknown member", ep[m1], "nobody")
    C("commit v8 with the member's epoch", ep[m1], m1, 8)
    C("commit v8 with an epoch ahead", ep[m1] + 1, m1, 8)
    C("commit without member", -1, "")
    F = lambda what, m, epoch: e.x("OffsetFetch", 9, {"groups": [{"groupId": g, "memberId": m, "memberEpoch": epoch, "topics": None}]}, what=what)
    F("OffsetFetch with an epoch ahead", m1, ep[m1] + 1)
    F("OffsetFetch, unknown member", "nobody", 1)
    F("OffsetFetch with the member's epoch", m1, ep[m1])
    F("OffsetFetch without member", None, -1)
    F("OffsetFetch with the member's id and epoch -1", m1, -1)
    H("second member joins: nothing for it yet", m2, 0, **full)
    H("first member is asked to give up a partition", m1, ep[m1], until=lambda r: r["assignment"] is not None)
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g]}, what="describe while it reconciles", note=lambda r: {"groups": [{"groupState": x["groupState"], "members": sorted(len(y["assignment"]["topicPartitions"]) for y in x["members"])} for x in r["groups"]]})
    r = H("it still owns all: same epoch", m1, ep[m1], topicPartitions=own(0, 1, 2))
    keep = []
    q = e.q("ConsumerGroupDescribe", 1, {"groupIds": [g]})["groups"][0]
    for x in q["members"]:
        if x["memberId"] == m1:
            keep = [p for y in x["targetAssignment"]["topicPartitions"] for p in y["partitions"]]
    H("it gives the partition up: a new epoch", m1, ep[m1], topicPartitions=own(*keep))
    H("the second member gets it", m2, ep[m2], until=lambda r: r["assignment"] is not None and r["assignment"]["topicPartitions"])
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g]}, what="describe: stable", until=lambda r: r["groups"][0]["groupState"] == "Stable", note=lambda r: {"groups": [{"groupState": x["groupState"], "groupEpoch": x["groupEpoch"], "assignmentEpoch": x["assignmentEpoch"], "members": [y["memberEpoch"] for y in x["members"]]} for x in r["groups"]]})
    H("the first member subscribes to an unknown topic", m1, ep[m1], subscribedTopicNames=[e.n("nowhere")])
    H("until it is asked to give up all", m1, ep[m1], until=lambda r: r["assignment"] is not None)
    H("it owns nothing any more", m1, ep[m1], topicPartitions=[], until=lambda r: r["memberEpoch"] >= 4)
    H("empty subscription", m1, ep[m1], subscribedTopicNames=[])
    H("regex subscription", m1, ep[m1], subscribedTopicRegex="cg-.*", subscribedTopicNames=[])
    e.x("JoinGroup", 3, jg(g, ver=3, session=6000), what="a classic member joins the group", learn=learn_member(e, box := []), note=lambda r: {**r, "generationId": "$N"})
    e.x("Heartbeat", 4, {"groupId": g, "generationId": 1, "memberId": m1}, what="a classic heartbeat of a consumer protocol member")
    e.x("LeaveGroup", 5, {"groupId": g, "members": [{"memberId": m2, "groupInstanceId": None, "reason": None}, {"memberId": box[0] if box else "", "groupInstanceId": None, "reason": None}]}, what="a classic leave of a consumer protocol member and of the classic one")
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="delete while it has members")
    H("leave", m1, -1)
    H("leave again", m1, -1)
    H("a heartbeat after leaving", m1, 3)
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g]}, what="describe the empty group", note=lambda r: {"groups": [{**x, "groupEpoch": "$N", "assignmentEpoch": "$N"} for x in r["groups"]]})
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="delete the empty group")
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g]}, what="describe after delete")


@probe("consumer-group-static")
def _(e):
    t, i = e.topic("cgs", 2)
    time.sleep(1)   # let the coordinator see it
    g = e.n("cgs")
    H = lambda what, m, ep, **kw: e.x("ConsumerGroupHeartbeat", 1, hb(kw.pop("g", g), m, ep, **kw), what=what)
    m1, m2 = uid(5) + e.run, uid(6) + e.run
    full = dict(rebalanceTimeoutMs=10000, subscribedTopicNames=[t], topicPartitions=[])
    H("static member joins", m1, 0, instanceId="i1", **full)
    H("another member with the same instance id", m2, 0, instanceId="i1", **full)
    H("static leave (-2) without an instance id", m1, -2)
    H("static leave of an unknown instance", m1, -2, instanceId="i9")
    H("the static member leaves for a while (-2)", m1, -2, instanceId="i1")
    H("another member takes its place: the same epoch and assignment", m2, 0, instanceId="i1", **full)
    H("the old member comes back", m1, 2, instanceId="i1")
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [g]}, what="describe")
    H("the static member leaves for good", m2, -1, instanceId="i1")
    c = e.n("cgclassic")
    e.x("JoinGroup", 3, jg(c, ver=3), what="a classic group", learn=learn_member(e))
    H("a consumer protocol member joins a classic group that awaits its sync", uid(3) + e.run, 0, g=c, **full)
    e.x("ConsumerGroupDescribe", 1, {"groupIds": [c]}, what="describe it", note=lambda r: {"groups": [{"errorCode": x["errorCode"], "groupState": x["groupState"], "memberTypes": sorted(y["memberType"] for y in x["members"])} for x in r["groups"]]})


# ================================================================ share groups
@probe("share-group")
def _(e):
    t, i = e.topic("sg", 2)
    time.sleep(1)   # let the coordinator see it
    g = e.n("sg")
    e.q("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": 32, "resourceName": g, "configs": [{"name": "share.auto.offset.reset", "configOperation": 0, "value": "earliest"}]}]})
    for _ in range(3):
        e.produce(i, 0, batch(2))
    m1 = uid(11)
    H = lambda what, m, ep, **kw: e.x("ShareGroupHeartbeat", 1, hb(kw.pop("g", g), m, ep, **kw), what=what)
    H("join without topics", m1, 0)
    H("join with an empty member id", "", 0, subscribedTopicNames=[t])
    H("epoch 5 in a group that is not there", m1, 5, g=e.n("sgx"))
    r = H("join", m1, 0, subscribedTopicNames=[t])
    ep = r["memberEpoch"] if r else 1
    r = e.x("ShareGroupHeartbeat", 1, hb(g, m1, ep), what="heartbeats until the assignment comes", until=lambda r: r["assignment"] and r["assignment"]["topicPartitions"])
    ep = r["memberEpoch"] if r else ep
    H("next heartbeat: nothing changed", m1, ep)
    H("the epoch before", m1, ep - 1)
    H("epoch ahead", m1, ep + 1)
    H("unknown member", uid(12), 3)
    e.x("ShareGroupDescribe", 1, {"groupIds": [g, e.n("nowhere")]}, what="describe", note=lambda r: {**r, "groups": [{**x, "groupEpoch": "$N", "assignmentEpoch": "$N", "members": [{**y, "memberEpoch": "$N"} for y in x["members"]]} for x in r["groups"]]})
    e.x("DescribeGroups", 6, {"groups": [g]}, what="the old describe")
    c = e.conn()

    def F(what, epoch, acks=(), forget=(), conn=c, m=m1, part=0, v=1, **kw):
        b = {"groupId": g, "memberId": m, "shareSessionEpoch": epoch, "maxWaitMs": 1000, "minBytes": 1, "maxBytes": 1 << 20, "maxRecords": kw.pop("maxRecords", 100), "batchSize": 100, "topics": [{"topicId": kw.pop("tid", i), "partitions": [{"partitionIndex": part, "acknowledgementBatches": [{"firstOffset": a, "lastOffset": z, "acknowledgeTypes": list(ty)} for a, z, ty in acks]}]}] if part is not None else [], "forgottenTopicsData": [], **kw}
        if v >= 2:
            b["shareAcquireMode"] = kw.get("shareAcquireMode", 0)
        return e.x("ShareFetch", v, b, conn=conn, what=what)
    F("session epoch 5 before the session is open", 5)
    F("open the session: epoch 0, records are acquired", 0)
    F("epoch 1, nothing more", 1, part=None)
    F("epoch 2, acknowledge 0 (accept) and 1 (release) with the fetch: 1 comes again with deliveryCount 2", 2, [(0, 1, (1, 2))])
    F("epoch 3, acknowledge an offset that is not acquired", 3, [(0, 0, (1,))])
    F("epoch 4, acknowledge type 9", 4, [(1, 1, (9,))])
    F("epoch 5, acknowledge with first above last", 5, [(3, 2, (1,))])
    F("epoch 6, two types for three offsets", 6, [(2, 4, (1, 1))])
    F("epoch 9: wrong session epoch", 9)
    F("from another connection", 7, conn=e.conn())
    F("epoch -1 with acknowledgements closes the session", -1, [(2, 2, (3,))])
    F("after the close", 1)
    F("open again", 0)
    F("a second session on the same connection", 0, m=uid(12))
    F("a member that never joined, another connection", 0, m=uid(13), conn=e.conn())
    F("member id empty", 0, m="")
    F("the first session after the second one was opened on its connection", 1, part=None)
    c2 = e.conn()
    F("a new session for unknown topic id", 0, tid=NOID, m=uid(14), conn=c2)
    F("a partition that does not exist added", 1, part=9, m=uid(14), conn=c2)
    F("maxRecords 1", 2, maxRecords=1, m=uid(14), conn=c2)
    A = lambda what, epoch, acks, conn=c, m=m1, part=0, v=1: e.x("ShareAcknowledge", v, {"groupId": g, "memberId": m, "shareSessionEpoch": epoch, "topics": [{"topicId": i, "partitions": [{"partitionIndex": part, "acknowledgementBatches": [{"firstOffset": a, "lastOffset": z, "acknowledgeTypes": list(ty)} for a, z, ty in acks]}]}]}, conn=conn, what=what)
    A("ShareAcknowledge: accept 1 and 3", 2, [(1, 1, (1,)), (3, 3, (1,))])
    A("ShareAcknowledge: again", 3, [(1, 1, (1,))])
    A("ShareAcknowledge: accept 5, while 4 is still acquired", 4, [(5, 5, (1,))])
    A("ShareAcknowledge: accept 5 again", 5, [(5, 5, (1,))])
    A("ShareAcknowledge: release 4 and reject the acknowledged 5 in one batch", 6, [(4, 5, (2, 3))])
    A("ShareAcknowledge: type 4, renew", 7, [(4, 4, (4,))], v=2)
    A("ShareAcknowledge: type 0, gap", 8, [(4, 4, (0,))])
    A("ShareAcknowledge: partition not in the session", 9, [(0, 0, (1,))], part=1)
    A("ShareAcknowledge: wrong epoch", 40, [(4, 4, (1,))])
    A("ShareAcknowledge: epoch 0", 0, [(4, 4, (1,))])
    A("ShareAcknowledge: a member without a session", 5, [(4, 4, (1,))], m=uid(15))
    e.x("DescribeShareGroupOffsets", 1, {"groups": [{"groupId": g, "topics": [{"topicName": t, "partitions": [0, 1]}]}, {"groupId": e.n("nowhere"), "topics": None}]}, what="DescribeShareGroupOffsets")
    e.x("AlterShareGroupOffsets", 0, {"groupId": g, "topics": [{"topicName": t, "partitions": [{"partitionIndex": 0, "startOffset": 4}]}]}, what="AlterShareGroupOffsets while the group has members")
    e.x("DeleteShareGroupOffsets", 0, {"groupId": g, "topics": [{"topicName": t}]}, what="DeleteShareGroupOffsets while the group has members")
    H("leave", m1, -1)
    e.x("AlterShareGroupOffsets", 0, {"groupId": g, "topics": [{"topicName": t, "partitions": [{"partitionIndex": 0, "startOffset": 4}, {"partitionIndex": 9, "startOffset": 4}]}, {"topicName": e.n("nowhere"), "partitions": [{"partitionIndex": 0, "startOffset": 0}]}]}, what="AlterShareGroupOffsets of the empty group")
    e.x("DescribeShareGroupOffsets", 1, {"groups": [{"groupId": g, "topics": None}]}, what="DescribeShareGroupOffsets after it")
    e.x("DeleteShareGroupOffsets", 0, {"groupId": g, "topics": [{"topicName": t}, {"topicName": e.n("nowhere")}]}, what="DeleteShareGroupOffsets")
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="delete the share group")
    e.x("ShareGroupDescribe", 1, {"groupIds": [g]}, what="describe after delete")


@probe("streams-group")
def _(e):
    g = e.n("stg")
    t, i = e.topic("stg", 2)
    time.sleep(1)   # let the coordinator see it
    base = {"groupId": g, "memberId": uid(21), "memberEpoch": 0, "endpointInformationEpoch": 0, "processId": "p1", "rebalanceTimeoutMs": 10000, "activeTasks": [], "standbyTasks": [], "warmupTasks": []}
    H = lambda what, **kw: e.x("StreamsGroupHeartbeat", 0, {**base, **kw}, what=what)
    H("join without a topology")
    topo = {"epoch": 0, "subtopologies": [{"subtopologyId": "0", "sourceTopics": [t], "sourceTopicRegex": [], "stateChangelogTopics": [], "repartitionSinkTopics": [], "repartitionSourceTopics": [], "copartitionGroups": []}]}
    H("join", topology=topo)
    H("epoch ahead", memberEpoch=8, activeTasks=None, standbyTasks=None, warmupTasks=None)
    H("unknown member", memberId=uid(22), memberEpoch=1, activeTasks=None, standbyTasks=None, warmupTasks=None)
    e.x("StreamsGroupDescribe", 0, {"groupIds": [g, e.n("nowhere")]}, what="describe")
    H("leave", memberEpoch=-1, activeTasks=None, standbyTasks=None, warmupTasks=None)


# ================================================================ the rest
@probe("quotas")
def _(e):
    u = e.n("user")
    A = lambda what, ent, ops, **kw: e.x("AlterClientQuotas", 1, {"entries": [{"entity": [{"entityType": a, "entityName": b} for a, b in ent], "ops": [{"key": k, "value": v, "remove": r} for k, v, r in ops]}], **kw}, what=what)
    D = lambda what, comps, strict=False: e.x("DescribeClientQuotas", 1, {"components": [{"entityType": a, "matchType": m, "match": b} for a, m, b in comps], "strict": strict}, what=what)
    A("a byte rate that is not a whole number", [("user", u)], [("producer_byte_rate", 1024.5, False)])
    A("set", [("user", u)], [("producer_byte_rate", 1024.0, False)])
    A("set two keys for user and client id", [("user", u), ("client-id", e.n("cid"))], [("consumer_byte_rate", 100.0, False), ("request_percentage", 50.0, False)])
    A("validate only", [("user", u)], [("producer_byte_rate", 1.0, False)], validateOnly=True)
    A("unknown key", [("user", u)], [("nonsense", 1.0, False)])
    A("negative value", [("user", u)], [("producer_byte_rate", -1.0, False)])
    A("zero", [("user", u)], [("producer_byte_rate", 0.0, False)])
    A("unknown entity type", [("planet", u)], [("producer_byte_rate", 1.0, False)])
    A("ip that is none", [("ip", "not an ip")], [("connection_creation_rate", 1.0, False)])
    A("empty entity", [], [("producer_byte_rate", 1.0, False)])
    A("the same entity type twice", [("user", u), ("user", "x")], [("producer_byte_rate", 1.0, False)])
    time.sleep(1)
    D("exact user", [("user", 0, u)])
    D("exact user, strict", [("user", 0, u)], True)
    D("default user", [("user", 1, None)])
    D("unknown entity type", [("planet", 2, None)])
    D("match type 7", [("user", 7, None)])
    D("the same type twice", [("user", 0, u), ("user", 0, u)])
    A("remove", [("user", u)], [("producer_byte_rate", 0.0, True)])
    A("remove the other", [("user", u), ("client-id", e.n("cid"))], [("consumer_byte_rate", 0.0, True), ("request_percentage", 0.0, True)])
    A("remove what is not there", [("user", e.n("nobody"))], [("producer_byte_rate", 0.0, True)])


@probe("scram")
def _(e):
    u = e.n("scram")
    up = lambda n, mech=1, it=4096: {"name": n, "mechanism": mech, "iterations": it, "salt": b"saltsalt", "saltedPassword": b"x" * 32}
    A = lambda what, dels=(), ups=(): e.x("AlterUserScramCredentials", 0, {"deletions": [{"name": a, "mechanism": m} for a, m in dels], "upsertions": list(ups)}, what=what)
    D = lambda what, users: e.x("DescribeUserScramCredentials", 0, {"users": None if users is None else [{"name": x} for x in users]}, what=what)
    D("unknown user", [e.n("nobody")])
    A("delete of an unknown user", [(u, 1)])
    A("too few iterations", (), [up(u, 1, 100)])
    A("too many iterations", (), [up(u, 1, 20000)])
    A("unknown mechanism", (), [up(u, 9)])
    A("empty name", (), [up("")])
    A("set SHA-256", (), [up(u)])
    A("set SHA-512", (), [up(u, 2, 8192)])
    A("set and delete of the same", [(u, 1)], [up(u)])
    time.sleep(1)
    D("the user", [u])
    D("the user twice", [u, u])
    A("delete both at once", [(u, 1), (u, 2)])
    A("delete one", [(u, 1)])
    A("delete the other", [(u, 2)])
    time.sleep(1)
    D("after delete", [u])


@probe("security-off")
def _(e):
    flt = {"resourceTypeFilter": 1, "resourceNameFilter": None, "patternTypeFilter": 1, "principalFilter": None, "hostFilter": None, "operation": 1, "permissionType": 1}
    e.x("DescribeAcls", 3, flt, what="no authorizer")
    e.x("CreateAcls", 3, {"creations": [{"resourceType": 2, "resourceName": "t", "resourcePatternType": 3, "principal": "User:a", "host": "*", "operation": 3, "permissionType": 3}]}, what="no authorizer")
    e.x("DeleteAcls", 3, {"filters": [flt]}, what="no authorizer")
    e.x("CreateDelegationToken", 3, {"ownerPrincipalType": None, "ownerPrincipalName": None, "renewers": [], "maxLifetimeMs": -1}, what="plaintext listener")
    e.x("DescribeDelegationToken", 3, {"owners": None}, what="plaintext listener")
    e.x("RenewDelegationToken", 2, {"hmac": b"xx", "renewPeriodMs": 1000}, what="plaintext listener")
    e.x("ExpireDelegationToken", 2, {"hmac": b"xx", "expiryTimePeriodMs": 1000}, what="plaintext listener")
    c = e.conn()
    e.x("SaslHandshake", 1, {"mechanism": "PLAIN"}, conn=c, what="plaintext listener")
    e.x("SaslAuthenticate", 2, {"authBytes": b"\0a\0b"}, conn=c, what="plaintext listener")


@probe("replicas")
def _(e):
    t, i = e.topic("rp", 2)
    E = lambda what, ty, tps, v=2: e.x("ElectLeaders", v, {**({"electionType": ty} if v >= 1 else {}), "topicPartitions": tps, "timeoutMs": 3000}, what=what)
    E("preferred: the leader is the preferred one", 0, [{"topic": t, "partitions": [0, 9]}, {"topic": e.n("nowhere"), "partitions": [0]}])
    E("unclean", 1, [{"topic": t, "partitions": [0]}])
    E("type 7", 7, [{"topic": t, "partitions": [0]}])
    e.x("ElectLeaders", 2, {"electionType": 0, "topicPartitions": None, "timeoutMs": 3000}, what="null: all partitions", note=lambda r: {**r, "replicaElectionResults": "results with partitions: %d" % sum(1 for x in r["replicaElectionResults"] if x["partitionResult"])})
    E("v0", 0, [{"topic": t, "partitions": [0]}], 0)
    R = lambda what, reps, nm=t, part=0, **kw: e.x("AlterPartitionReassignments", 1, {"timeoutMs": 3000, "topics": [{"name": nm, "partitions": [{"partitionIndex": part, "replicas": reps}]}], **kw}, what=what)
    R("cancel, none in progress", None)
    R("to the same replica", [e.node])
    R("to an unknown broker", [98])
    R("to no replicas", [])
    R("a broker twice", [e.node, e.node])
    R("unknown topic", [e.node], e.n("nowhere"))
    R("partition does not exist", [e.node], t, 9)
    e.x("ListPartitionReassignments", 0, {"timeoutMs": 3000, "topics": None}, what="list all")
    e.x("ListPartitionReassignments", 0, {"timeoutMs": 3000, "topics": [{"name": t, "partitionIndexes": [0]}, {"name": e.n("nowhere"), "partitionIndexes": [0]}]}, what="list some")
    e.produce(i, 0, batch(3))
    e.x("DescribeLogDirs", 4, {"topics": [{"topic": t, "partitions": [0, 1, 9]}, {"topic": e.n("nowhere"), "partitions": [0]}]}, what="log dirs of some partitions")
    e.x("DescribeLogDirs", 1, {"topics": [{"topic": t, "partitions": [0]}]}, what="v1")
    e.x("DescribeLogDirs", 4, {"topics": []}, what="no topics")
    e.x("DescribeLogDirs", 4, {"topics": None}, what="all", note=lambda r: {**r, "results": [{**x, "topics": "mine is in: %s" % any(y["name"] == t for y in x["topics"])} for x in r["results"]]})
    e.x("AlterReplicaLogDirs", 2, {"dirs": [{"path": "/no/such/dir", "topics": [{"name": t, "partitions": [0]}]}]}, what="unknown log dir")
    e.x("AlterReplicaLogDirs", 2, {"dirs": [{"path": "relative", "topics": [{"name": t, "partitions": [0]}]}]}, what="relative path")
    e.x("UnregisterBroker", 0, {"brokerId": 98}, what="unknown broker")
    e.x("UpdateFeatures", 2, {"timeoutMs": 3000, "featureUpdates": [{"feature": "no.such", "maxVersionLevel": 1, "upgradeType": 1}], "validateOnly": True}, what="unknown feature")
    e.x("UpdateFeatures", 1, {"timeoutMs": 3000, "featureUpdates": [{"feature": "metadata.version", "maxVersionLevel": 999, "upgradeType": 1}], "validateOnly": True}, what="metadata.version 999, v1")
    e.x("UpdateFeatures", 2, {"timeoutMs": 3000, "featureUpdates": [], "validateOnly": True}, what="nothing to do")
    e.x("DescribeQuorum", 2, {"topics": [{"topicName": "__cluster_metadata", "partitions": [{"partitionIndex": 0}]}]}, what="the quorum", note=lambda r: {**r, "nodes": [{**n, "listeners": len(n["listeners"])} for n in r["nodes"]], "topics": [{**x, "partitions": [{**p, "leaderEpoch": "$N", "highWatermark": "$N", "currentVoters": [{**y, "logEndOffset": "$N", "replicaDirectoryId": "$ID"} for y in p["currentVoters"]]} for p in x["partitions"]]} for x in r["topics"]]})
    e.x("DescribeQuorum", 2, {"topics": [{"topicName": "other", "partitions": [{"partitionIndex": 0}]}]}, what="another topic")
    e.x("AddRaftVoter", 0, {"clusterId": None, "timeoutMs": 1000, "voterId": 98, "voterDirectoryId": NOID, "listeners": [{"name": "CONTROLLER", "host": "localhost", "port": 1}]}, what="add a voter")
    e.x("RemoveRaftVoter", 0, {"clusterId": None, "voterId": 98, "voterDirectoryId": NOID}, what="remove a voter")
    e.x("ReadShareGroupState", 0, {"groupId": e.n("rs"), "topics": [{"topicId": i, "partitions": [{"partition": 0, "leaderEpoch": 0}]}]}, what="share state of a group that is not there")
    e.x("ReadShareGroupStateSummary", 0, {"groupId": e.n("rs"), "topics": [{"topicId": i, "partitions": [{"partition": 0, "leaderEpoch": 0}]}]}, what="share state summary of a group that is not there")
