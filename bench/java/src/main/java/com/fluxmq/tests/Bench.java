// SPDX-License-Identifier: MIT
//
// What the programs share. A run: senders, each on a thread with a producer of its own, start at once; the clock
// stops when the log holds what they sent; a consumer then reads all of it back and compares every record. Three
// rates come of it: sent (until the producers' last flush ended), stored (until the log held it) and read back.
//
//     PROGRAM [HOST:PORT=localhost:9092] [...] [--most N] [--warm-up N] [--repeat N] [--pid PID] [--json FILE]
//
// --most bounds the records of each run (tests, quick comparisons), --warm-up gives each run so many records more before the clock, to a topic
// of their own (comparisons: a JVM's first seconds tell about the JVM), --repeat measures each run so many times (some
// last a fifth of a second only), --pid is the broker's process, whose CPU is then told, --json takes the figures.

package com.fluxmq.tests;

import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

final class Bench implements AutoCloseable {
    /** Longer runs are steady enough. */
    private static final long REPEATED_MOST = 1_000_000;
    private static final long PATIENCE_NANOS = 15_000_000_000L;

    final Arguments given;
    final String address;
    final Admin admin;
    private final String program;
    private final long most;
    private final long pid;
    private final Map<String, Object> results = new LinkedHashMap<>();
    private final List<Object> runs = new ArrayList<>();
    private int number;
    private boolean good = true;

    Bench(Class<?> program, String[] args) throws Exception {
        this.program = program.getSimpleName();
        this.given = new Arguments(args);
        this.address = given.words.isEmpty() ? "localhost:9092" : given.words.get(0);
        this.most = (long) given.number("most", Long.MAX_VALUE);
        this.pid = (long) given.number("pid", 0);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        this.admin = Admin.create(settings);
        Map<String, Object> conditions = new LinkedHashMap<>();
        conditions.put("client", "kafka-clients " + clientVersion());
        conditions.put("java", System.getProperty("java.version"));
        conditions.put("processors", Runtime.getRuntime().availableProcessors());
        conditions.put("system", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        conditions.put("brokers", admin.describeCluster().nodes().get().size());
        if (most < Long.MAX_VALUE) {
            conditions.put("at most", most + " records a run");
        }
        results.put("program", this.program);
        results.put("address", address);
        results.put("conditions", conditions);
        results.put("runs", runs);
        System.out.println(this.program + " against " + address);
        System.out.println("  conditions: " + plain(conditions));
    }

    /** From the jar: the class that knows has moved between versions. */
    private static String clientVersion() throws Exception {
        Properties version = new Properties();
        try (InputStream in = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            version.load(in);
        }
        return version.getProperty("version");
    }

    /** Settings of a producer from pairs "name", value. */
    Properties producer(Object... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], String.valueOf(pairs[i + 1]));
        }
        return settings;
    }

    Map<String, Object> run(Load load) throws Exception {
        if (load.total != Long.MAX_VALUE) {
            load.total = Math.min(load.total, most);
        }
        long warm = Math.max(Math.min(load.warmUp, most), (long) given.number("warm-up", 0));
        System.out.println("  " + load.name + ": " + described(load) + (warm > 0 ? ", warm-up " + warm : ""));
        if (warm > 0) {
            Load before = new Load("warm-up", load.threads, load.payload, load.settings).records(warm).keys(load.keySize);
            before.synchronous = load.synchronous;
            measure(before);
        }
        Map<String, Object> out = null;
        int times = load.total <= REPEATED_MOST ? (int) given.number("repeat", 1) : 1;
        for (int i = 0; i < times; i++) {
            out = measure(load);
            runs.add(out);
            tell(out);
        }
        return out;
    }

    private Map<String, Object> measure(Load load) throws Exception {
        String topic = program.toLowerCase() + "-" + ProcessHandle.current().pid() + "-" + System.currentTimeMillis()
            + "-" + number++;
        CountDownLatch go = new CountDownLatch(1);
        List<Sender> senders = new ArrayList<>();
        try {
            for (int i = 0; i < load.threads; i++) {
                senders.add(new Sender(load, i, topic, go));
            }
            // Kafka tells of a new topic before its leader serves it, and may then refuse the first batch and take the
            // second, which an idempotent producer does not get over. An answer of the leaders says that they serve.
            admin.listOffsets(ends(topic)).all().get();
            senders.forEach(Thread::start);
            return drive(load, topic, senders, go);
        } finally {
            go.countDown();
            senders.forEach(Sender::close);
            admin.deleteTopics(List.of(topic)).all().get();
        }
    }

    private Map<String, Object> drive(Load load, String topic, List<Sender> senders, CountDownLatch go)
            throws Exception {
        double cpuAtStart = cpu();
        long begin = System.nanoTime();
        go.countDown();
        for (Sender sender : senders) {
            sender.join();
        }
        long flushed = System.nanoTime();
        long sent = senders.stream().mapToLong(s -> s.sent).sum();
        long refused = senders.stream().mapToLong(s -> s.refused.get()).sum();
        long stored = load.acks().equals("0") ? whenStored(topic, sent - refused) : flushed;
        double cpuProduced = cpu();
        Reader reader = new Reader(load);
        reader.run(address, topic);
        double cpuConsumed = cpu();

        Map<String, Object> out = new LinkedHashMap<>();
        out.put("name", load.name);
        out.put("settings", settings(load));
        out.put("sent", sent);
        out.put("acknowledged", senders.stream().mapToLong(s -> s.acknowledged.get()).sum());
        out.put("refused", refused);
        out.putAll(reader.report());
        double seconds = (stored - begin) / 1e9;
        out.put("seconds", seconds);
        out.put("sent_per_s", sent / ((flushed - begin) / 1e9));
        out.put("stored_per_s", reader.counted() / seconds);
        out.put("mib_per_s", reader.counted() / seconds * load.payload.size(0) / (1 << 20));
        out.put("consumed_per_s", reader.counted() / reader.seconds);
        out.put("compression", senders.stream().mapToDouble(Sender::compression).average().orElse(Double.NaN));
        latency(senders, out);
        if (pid > 0) {
            out.put("produce_cpu_s_per_million", (cpuProduced - cpuAtStart) / reader.counted() * 1e6);
            out.put("produce_broker_cores", (cpuProduced - cpuAtStart) / seconds);
            out.put("consume_cpu_s_per_million", (cpuConsumed - cpuProduced) / reader.counted() * 1e6);
            out.put("broker_memory_mib", ResourceMonitor.memory(pid));
        }
        judge(senders, reader, sent, out);
        return out;
    }

    private double cpu() {
        return pid > 0 ? ResourceMonitor.cpuSeconds(pid) : 0;
    }

    private Map<TopicPartition, OffsetSpec> ends(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().stream()
            .collect(Collectors.toMap(p -> new TopicPartition(topic, p.partition()), p -> OffsetSpec.latest()));
    }

    /** The time at which the ends of the log had come to count; gives up when nothing moves. */
    private long whenStored(String topic, long count) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = ends(topic);
        long before = -1;
        long progress = System.nanoTime();
        while (true) {
            long now = admin.listOffsets(ends).all().get().values().stream().mapToLong(e -> e.offset()).sum();
            long time = System.nanoTime();
            if (now >= count) {
                return time;
            }
            if (now > before) {
                before = now;
                progress = time;
            } else if (time - progress > PATIENCE_NANOS) {
                return progress;
            }
        }
    }

    private static void latency(List<Sender> senders, Map<String, Object> out) {
        Histogram all = new Histogram();
        senders.forEach(s -> all.add(s.times));
        Map<String, Object> micros = new LinkedHashMap<>();
        micros.put("p50", all.micros(0.5));
        micros.put("p99", all.micros(0.99));
        micros.put("p999", all.micros(0.999));
        micros.put("max", all.maxMicros());
        out.put("latency_us", micros);
    }

    private void judge(List<Sender> senders, Reader reader, long sent, Map<String, Object> out) {
        long[] each = senders.stream().mapToLong(s -> s.sent).toArray();
        boolean whole = reader.counted() == sent && reader.gaps == 0 && reader.doubled == 0 && reader.changed == 0
            && reader.checksum == reader.expected(each);
        out.put("whole", whole);
        if (!whole) {
            good = false;
            out.put("problem", senders.stream().map(s -> s.problem.get()).filter(e -> e != null).map(String::valueOf)
                .findFirst().orElse("what was read back is not what was sent"));
        }
    }

    private static Map<String, Object> settings(Load load) {
        Map<String, Object> out = new TreeMap<>();
        load.settings.forEach((name, value) -> {
            if (!String.valueOf(name).endsWith(".serializer") && !name.equals("bootstrap.servers")) {
                out.put(String.valueOf(name), value);
            }
        });
        out.put("threads", load.threads);
        out.put("value", load.payload.sizes());
        out.put("key", load.keySize + " B");
        return out;
    }

    private static String described(Load load) {
        String much = load.total == Long.MAX_VALUE ? load.seconds + " s" : String.format("%,d records", load.total);
        return much + (load.synchronous ? ", one by one, " : ", ") + plain(settings(load));
    }

    private static String plain(Map<String, ?> map) {
        return map.entrySet().stream().map(e -> e.getKey() + " " + e.getValue()).collect(Collectors.joining(", "));
    }

    private void tell(Map<String, Object> r) {
        Map<?, ?> micros = (Map<?, ?>) r.get("latency_us");
        System.out.printf("    sent %,d, acknowledged %,d%s, refused %,d%n", (Long) r.get("sent"),
            (Long) r.get("acknowledged"), "0".equals(((Map<?, ?>) r.get("settings")).get("acks"))
                ? " (acks=0: by nobody but the socket)" : "", (Long) r.get("refused"));
        System.out.printf("    read back %,d: %,d gaps, %,d doubled, %,d changed, %,d out of order, checksum %s: %s%n",
            (Long) r.get("read_back"), (Long) r.get("gaps"), (Long) r.get("doubled"), (Long) r.get("changed"),
            (Long) r.get("out_of_order"), r.get("checksum"),
            r.get("whole").equals(true) ? "whole" : "NOT WHOLE, " + r.get("problem"));
        System.out.printf("    %,.0f sent/s, %,.0f stored/s (%.1f MiB/s), %,.0f consumed/s%n", (Double) r.get("sent_per_s"),
            (Double) r.get("stored_per_s"), (Double) r.get("mib_per_s"), (Double) r.get("consumed_per_s"));
        System.out.printf("    send to callback: p50 %,.0f us, p99 %,.0f us, p99.9 %,.0f us, max %,.0f us%n", micros.get("p50"),
            micros.get("p99"), micros.get("p999"), micros.get("max"));
        if ((Double) r.get("compression") < 0.99) {
            System.out.printf("    compression saves %.0f %%%n", 100 - 100 * (Double) r.get("compression"));
        }
        if (r.containsKey("produce_broker_cores")) {
            System.out.printf("    broker: %.3f CPU s a million produced (%.2f cores), %.3f consumed%n",
                (Double) r.get("produce_cpu_s_per_million"), (Double) r.get("produce_broker_cores"),
                (Double) r.get("consume_cpu_s_per_million"));
        }
    }

    /** Writes the figures; the status of the process is 1 when something was not read back as it was sent. */
    void finish() throws Exception {
        if (given.text("json", null) != null) {
            Json.write(Path.of(given.text("json", null)), results);
        }
        System.out.println(good ? "  all that was sent was read back" : "  NOT all that was sent was read back");
        close();
        System.exit(good ? 0 : 1);
    }

    @Override
    public void close() {
        admin.close();
    }
}
