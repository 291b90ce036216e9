// SPDX-License-Identifier: MIT
//
// Old BOOTSTRAP PREFIX: cases for Java clients of former times, with what 0.10.2 has; Newer.java has
// more for later ones. Modern.java wrote the topics that begin with PREFIX-m-. Results as TAP.

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

final class Old {
    static final int COUNT = 300; // as in Sample.java, which needs headers
    static final long TIME = 1_600_000_000_000L;
    static final List<String> CODECS = Arrays.asList("none", "gzip", "snappy", "lz4");
    static String address;
    static String prefix;

    private Old() {
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] key(int i) {
        return i % 7 == 0 ? null : bytes("key-" + i);
    }

    static byte[] value(int i) {
        if (i % 11 == 0 && i % 7 != 0) {
            return null;
        }
        byte[] head = bytes("value-" + i + "-");
        byte[] value = Arrays.copyOf(head, head.length + i * 37 % 500);
        Arrays.fill(value, head.length, value.length, (byte) ('a' + i % 26));
        return value;
    }

    static Properties settings(Object... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        for (int i = 0; i < more.length; i += 2) {
            p.put(more[i], more[i + 1]);
        }
        return p;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... more) {
        return new KafkaProducer<>(settings(more), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... more) {
        Properties p = settings(more);
        p.put("fetch.max.wait.ms", 50); // closing waits for the fetch that is under way
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static ProducerRecord<byte[], byte[]> sample(String topic, int i) {
        return new ProducerRecord<>(topic, 0, TIME + i * 1000L, key(i), value(i));
    }

    static void check(ConsumerRecord<byte[], byte[]> got, int i, long offset) {
        Tap.equal(offset, got.offset(), "offset of " + i);
        Tap.equal(TIME + i * 1000L, got.timestamp(), "time of " + i);
        Tap.equal(key(i), got.key(), "key of " + i);
        Tap.equal(value(i), got.value(), "value of " + i);
    }

    /** The records from an offset on, `count` of them. */
    static List<ConsumerRecord<byte[], byte[]>> read(String topic, long from, int count, Object... more) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        TopicPartition place = new TopicPartition(topic, 0);
        long end = System.nanoTime() + Tap.PATIENCE_SECONDS * 1_000_000_000L;
        try (KafkaConsumer<byte[], byte[]> c = consumer(more)) {
            c.assign(Collections.singleton(place));
            c.seek(place, from);
            while (got.size() < count && System.nanoTime() < end) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(200)) {
                    got.add(r);
                }
            }
        }
        Tap.equal(count, got.size(), "records of " + topic + " from " + from);
        return got;
    }

    static void fill(String topic, Object... more) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> p = producer(more)) {
            for (int i = 0; i < COUNT; i++) {
                sent.add(p.send(sample(topic, i)));
                if (i % 50 == 49) {
                    p.flush();
                }
            }
        }
        for (int i = 0; i < COUNT; i++) {
            Tap.equal((long) i, sent.get(i).get().offset(), "offset given to " + i);
            Tap.equal(TIME + i * 1000L, sent.get(i).get().timestamp(), "time given to " + i);
        }
    }

    // ---- its own records

    static void roundTrip(String codec) throws Exception {
        String topic = prefix + "-o-sample-" + codec;
        fill(topic, "compression.type", codec, "linger.ms", 50, "acks", "all");
        for (int from : new int[] {0, 49, 50, 77, 299}) {
            List<ConsumerRecord<byte[], byte[]>> got = read(topic, from, COUNT - from);
            for (int i = from; i < COUNT; i++) {
                check(got.get(i - from), i, i);
            }
        }
    }

    static void large(String codec) throws Exception {
        String topic = prefix + "-o-large-" + codec;
        byte[] value = new byte[990_000];
        new java.util.Random(7).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> p = producer("compression.type", codec)) {
            for (int i = 0; i < 3; i++) {
                p.send(new ProducerRecord<byte[], byte[]>(topic, 0, null, value)).get();
            }
        }
        for (int room : new int[] {1 << 20, 1000}) {
            for (ConsumerRecord<byte[], byte[]> r : read(topic, 0, 3, "max.partition.fetch.bytes", room)) {
                Tap.equal(value, r.value(), "value");
            }
        }
    }

    static void tooLarge() throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer("max.request.size", 4 << 20)) {
            Tap.fails("RecordTooLargeException", () -> p.send(
                new ProducerRecord<byte[], byte[]>(prefix + "-o-toolarge", 0, null, new byte[2_000_000])).get());
            Tap.equal(0L, p.send(new ProducerRecord<byte[], byte[]>(
                prefix + "-o-wide", 0, null, new byte[2_000_000])).get().offset(), "where the topic takes it");
        }
        Tap.equal(2_000_000, read(prefix + "-o-wide", 0, 1).get(0).value().length, "its size");
    }

    static void acks() throws Exception {
        for (String acks : Arrays.asList("0", "1", "all")) {
            String topic = prefix + "-o-acks-" + acks;
            try (KafkaProducer<byte[], byte[]> p = producer("acks", acks)) {
                for (int i = 0; i < 20; i++) {
                    p.send(sample(topic, i)).get();
                }
            }
            List<ConsumerRecord<byte[], byte[]>> got = read(topic, 0, 20);
            for (int i = 0; i < 20; i++) {
                check(got.get(i), i, i);
            }
        }
    }

    static void topicSettings() throws Exception {
        long before = System.currentTimeMillis();
        try (KafkaProducer<byte[], byte[]> p = producer("compression.type", "gzip")) {
            RecordMetadata m = p.send(sample(prefix + "-o-append", 1)).get();
            Tap.truth(m.timestamp() >= before, "the broker's time");
            Tap.equal(m.timestamp(), read(prefix + "-o-append", 0, 1).get(0).timestamp(), "time read");
            Tap.fails("CorruptRecordException|InvalidRecordException|UnknownServerException", () -> p.send(
                new ProducerRecord<byte[], byte[]>(prefix + "-o-compact", 0, null, bytes("v"))).get());
            p.send(sample(prefix + "-o-compact", 1)).get();
        }
        check(read(prefix + "-o-compact", 0, 1).get(0), 1, 0);
        fill(prefix + "-o-gzipped", "compression.type", "snappy");
        check(read(prefix + "-o-gzipped", 0, COUNT).get(150), 150, 150);
    }

    // ---- positions

    static void positions() throws Exception {
        String topic = prefix + "-o-sample-gzip";
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer("auto.offset.reset", "none")) {
            c.assign(Collections.singleton(place));
            Tap.equal(Collections.singletonMap(place, 0L), c.beginningOffsets(c.assignment()), "beginning");
            Tap.equal(Collections.singletonMap(place, (long) COUNT), c.endOffsets(c.assignment()), "end");
            c.seekToEnd(c.assignment());
            Tap.equal((long) COUNT, c.position(place), "position at the end");
            Tap.equal(0, c.poll(300).count(), "records behind the end");
            c.seekToBeginning(c.assignment());
            Tap.equal(0L, c.position(place), "position at the beginning");
            for (int i : new int[] {0, 17, 299}) {
                Map<TopicPartition, OffsetAndTimestamp> found =
                    c.offsetsForTimes(Collections.singletonMap(place, TIME + i * 1000L - 1));
                Tap.equal((long) i, found.get(place).offset(), "offset of a time");
                Tap.equal(TIME + i * 1000L, found.get(place).timestamp(), "its time");
            }
            Tap.equal(null, c.offsetsForTimes(Collections.singletonMap(place, TIME + COUNT * 1000L)).get(place),
                      "a time to come");
            c.seek(place, 100000);
            Tap.fails("OffsetOutOfRangeException", () -> c.poll(5000));
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer("auto.offset.reset", "earliest")) {
            c.assign(Collections.singleton(place));
            c.seek(place, 100000);
            Tap.equal(0L, next(c).offset(), "reset to the earliest");
            Tap.equal(1, c.partitionsFor(topic).size(), "partitions");
            Tap.truth(c.listTopics().containsKey(topic), "among the topics");
        }
    }

    static ConsumerRecord<byte[], byte[]> next(KafkaConsumer<byte[], byte[]> c) {
        for (int i = 0; i < 100; i++) {
            ConsumerRecords<byte[], byte[]> got = c.poll(200);
            if (!got.isEmpty()) {
                return got.iterator().next();
            }
        }
        throw new AssertionError("nothing came");
    }

    // ---- groups

    static void group() throws Exception {
        String topic = prefix + "-o-sample-snappy";
        String name = prefix + "-o-group";
        TopicPartition place = new TopicPartition(topic, 0);
        Object[] how = {"group.id", name, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                        "max.poll.records", 100, "session.timeout.ms", "10000"};
        try (KafkaConsumer<byte[], byte[]> c = consumer(how)) {
            c.subscribe(Collections.singleton(topic));
            check(next(c), 0, 0);
            c.commitSync(Collections.singletonMap(place, new OffsetAndMetadata(123, "so far")));
            Tap.equal(123L, c.committed(place).offset(), "committed");
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(how)) {
            c.subscribe(Collections.singleton(topic));
            check(next(c), 123, 123);
            Tap.equal("so far", c.committed(place).metadata(), "metadata");
            c.commitSync();
            Tap.equal(c.position(place), c.committed(place).offset(), "committed by position");
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", prefix + "-o-other")) {
            c.assign(Collections.singleton(place));
            Tap.equal(null, c.committed(place), "of another group");
        }
    }

    /** Two members share two topics, then one has both. */
    static void rebalance() throws Exception {
        List<String> topics = Arrays.asList(prefix + "-o-sample-none", prefix + "-o-sample-lz4");
        Object[] how = {"group.id", prefix + "-o-two", "auto.offset.reset", "earliest", "session.timeout.ms", "10000",
                        "heartbeat.interval.ms", "200",
                        "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor"};
        try (KafkaConsumer<byte[], byte[]> a = consumer(how)) {
            a.subscribe(topics);
            Tap.within("both", () -> {
                a.poll(100);
                return a.assignment().size() == 2;
            });
            boolean[] done = {false};
            Throwable[] problem = {null};
            Thread other = new Thread(() -> {
                try (KafkaConsumer<byte[], byte[]> b = consumer(how)) {
                    b.subscribe(topics);
                    Tap.within("one each", () -> {
                        b.poll(100);
                        return b.assignment().size() == 1;
                    });
                } catch (Throwable t) {
                    problem[0] = t;
                } finally {
                    done[0] = true;
                }
            });
            other.start();
            Tap.within("the other one came and went", () -> {
                a.poll(100);
                return done[0] && a.assignment().size() == 2;
            });
            other.join();
            Tap.equal(null, problem[0], "the other's problem");
        }
    }

    // ---- what the newest client wrote

    static void modern(String codec) throws Exception {
        for (int from : new int[] {0, 1, 60, 299}) {
            List<ConsumerRecord<byte[], byte[]>> got = read(prefix + "-m-" + codec, from, COUNT - from);
            for (int i = from; i < COUNT; i++) {
                check(got.get(i - from), i, i);
            }
        }
    }

    static void zstd() {
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            TopicPartition place = new TopicPartition(prefix + "-m-zstd", 0);
            c.assign(Collections.singleton(place));
            c.seek(place, 0);
            int got = 0;
            Exception said = null;
            for (int i = 0; i < 20 && said == null; i++) {
                try {
                    got += c.poll(200).count();
                } catch (RuntimeException problem) {
                    said = problem;
                }
            }
            Tap.equal(0, got, "records");
            System.out.println("# zstd: " + said); // 0.10.2 only logs an error it doesn't know
        }
    }

    static void transactions() throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got = read(prefix + "-m-txn", 0, 30);
        for (int i = 0; i < 30; i++) {
            check(got.get(i), i, i + i / 10);
        }
        got = read(prefix + "-m-txn", 10, 20); // a marker
        check(got.get(0), 10, 11);
        got = read(prefix + "-m-markers", 0, 20, "max.partition.fetch.bytes", 80);
        for (int i = 0; i < 20; i++) {
            check(got.get(i), i, 2 * i);
        }
    }

    static void modernLarge() throws Exception {
        for (int room : new int[] {1 << 20, 100}) {
            List<ConsumerRecord<byte[], byte[]>> got =
                read(prefix + "-m-large", 0, 2, "max.partition.fetch.bytes", room);
            Tap.equal(900_000, got.get(0).value().length, "size");
            Tap.equal(2000L, got.get(1).timestamp(), "time of the next");
        }
    }

    public static void main(String[] args) throws Exception {
        address = args[0];
        prefix = args[1];
        System.out.println("# Java client " + AppInfoParser.getVersion());
        for (String codec : CODECS) {
            Tap.test("writes and reads its own, " + codec, () -> roundTrip(codec));
        }
        for (String codec : CODECS) {
            Tap.test("reads what the newest client wrote, " + codec, () -> modern(codec));
        }
        Tap.test("zstd is refused", Old::zstd);
        Tap.test("transactions, uncommitted", Old::transactions);
        Tap.test("a large record of the newest client", Old::modernLarge);
        Tap.test("large records", () -> large("none"));
        Tap.test("large records, gzip", () -> large("gzip"));
        Tap.test("too large", Old::tooLarge);
        Tap.test("acks 0, 1, all", Old::acks);
        Tap.test("topics with settings", Old::topicSettings);
        Tap.test("positions and times", Old::positions);
        Tap.test("a group goes on where it was", Old::group);
        Tap.test("two members", Old::rebalance);
        if (args.length > 2) {
            Class.forName("Newer").getDeclaredMethod("run").invoke(null);
        }
        System.exit(Tap.finish());
    }
}
