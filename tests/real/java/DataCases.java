// SPDX-License-Identifier: MIT
//
// Producing and consuming: what was written comes back byte for byte.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;

final class DataCases {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};

    private DataCases() {
    }

    static void run() {
        for (String codec : CODECS) {
            Tap.test("produce " + codec + " idempotent, read back", () -> codec(codec));
            Tap.test("produce " + codec + " into gzip and uncompressed topics", () -> recompressed(codec));
        }
        for (String acks : new String[] {"0", "1", "all"}) {
            Tap.test("produce plain acks=" + acks, () -> acks(acks));
        }
        Tap.test("LogAppendTime replaces timestamps", DataCases::logAppendTime);
        Tap.test("keys choose the same partitions, order per partition", DataCases::keyed);
        Tap.test("concurrent producers keep their order", DataCases::concurrent);
        Tap.test("record near 1 MB", () -> large(1_000_000, "none"));
        Tap.test("record near 1 MB lz4", () -> large(1_000_000, "lz4"));
        Tap.test("record of 2.5 MB where the topic allows it", DataCases::larger);
        Tap.test("record over the limit is refused", DataCases::tooLarge);
        Tap.test("record over the topic's max.message.bytes is refused", DataCases::tooLargeForTopic);
        Tap.test("compacted topic refuses a null key", DataCases::compactedNullKey);
        Tap.test("produce to an unknown topic", DataCases::unknownTopic);
        Tap.test("consume from start, end, offset", DataCases::positions);
        Tap.test("consume from timestamps", DataCases::timestamps);
        Tap.test("auto.offset.reset latest, earliest, none", DataCases::reset);
        Tap.test("small fetches make progress", DataCases::smallFetches);
        Tap.test("fetch.min.bytes waits and is woken", DataCases::longPoll);
        Tap.test("fetch.min.bytes does not wait at the end of an older segment", DataCases::olderSegment);
        Tap.test("pause, resume, seek back", DataCases::pauseResume);
        Tap.test("many partitions in one fetch", DataCases::manyPartitions);
        Tap.test("automatic topic creation by a producer", DataCases::autoCreate);
    }

    private static void codec(String codec) throws Exception {
        String prefix = Client.prefix;
        Client.prefix = "data-" + prefix;
        String topic;
        try {
            topic = Client.topic(codec, 1);
        } finally {
            Client.prefix = prefix;
        }
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("compression.type", codec,
                "acks", "all", "enable.idempotence", "true")) {
            List<RecordMetadata> sent = Client.send(producer, topic, 0, 0, Sample.COUNT);
            for (int i = 0; i < sent.size(); i++) {
                Tap.equal((long) i, sent.get(i).offset(), "offset in the reply");
                Tap.equal(Sample.TIME + i * 1000L, sent.get(i).timestamp(), "timestamp in the reply");
            }
        }
        readSamples(topic);
    }

    private static void readSamples(String topic) {
        List<ConsumerRecord<byte[], byte[]>> got = Client.readAll(topic, Sample.COUNT);
        for (int i = 0; i < got.size(); i++) {
            Sample.check(got.get(i), i, i);
            Tap.equal(TimestampType.CREATE_TIME, got.get(i).timestampType(), "timestamp type");
        }
    }

    private static void recompressed(String codec) throws Exception {
        for (String target : new String[] {"gzip", "uncompressed"}) {
            String topic = Client.topic("re-" + codec + "-" + target, 1, "compression.type", target);
            try (KafkaProducer<byte[], byte[]> producer = Client.producer("compression.type", codec)) {
                Client.send(producer, topic, 0, 0, Sample.COUNT);
            }
            readSamples(topic);
        }
    }

    private static void acks(String acks) throws Exception {
        String topic = Client.topic("acks-" + acks, 1);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("acks", acks,
                "enable.idempotence", "false", "compression.type", "lz4")) {
            for (RecordMetadata done : Client.send(producer, topic, 0, 0, Sample.COUNT)) {
                Tap.equal(!acks.equals("0"), done.hasOffset(), "reply carries an offset");
            }
        }
        readSamples(topic);
    }

    private static void logAppendTime() throws Exception {
        String topic = Client.topic("append-time", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        long replied;
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("compression.type", "gzip")) {
            replied = Client.send(producer, topic, 0, 0, 10).get(9).timestamp();
        }
        long after = System.currentTimeMillis();
        for (ConsumerRecord<byte[], byte[]> got : Client.readAll(topic, 10)) {
            Tap.equal(TimestampType.LOG_APPEND_TIME, got.timestampType(), "timestamp type");
            Tap.truth(got.timestamp() >= before - 1 && got.timestamp() <= after + 1,
                "append time " + got.timestamp() + " is in " + before + ".." + after);
            Sample.checkContent(got, (int) got.offset());
            if (got.offset() == 9) {
                Tap.equal(replied, got.timestamp(), "append time in the reply");
            }
        }
    }

    private static void keyed() throws Exception {
        String topic = Client.topic("keyed", 4);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            for (int i = 0; i < 400; i++) {
                producer.send(new ProducerRecord<>(topic, Sample.bytes("k" + i % 20), Sample.bytes("" + i)));
            }
        }
        int[] last = new int[20];
        int[] home = new int[20];
        Arrays.fill(last, -1);
        Arrays.fill(home, -1);
        for (ConsumerRecord<byte[], byte[]> got : Client.readAll(topic, 400)) {
            int i = Integer.parseInt(new String(got.value()));
            int key = i % 20;
            Tap.equal("k" + key, new String(got.key()), "key");
            Tap.truth(last[key] < i, "order of key " + key);
            Tap.truth(home[key] < 0 || home[key] == got.partition(), "partition of key " + key);
            last[key] = i;
            home[key] = got.partition();
        }
    }

    private static void concurrent() throws Exception {
        String topic = Client.topic("concurrent", 3);
        int producers = 4;
        int each = 2000;
        List<Thread> threads = new ArrayList<>();
        List<Throwable> errors = Collections.synchronizedList(new ArrayList<>());
        for (int t = 0; t < producers; t++) {
            int number = t;
            Thread thread = new Thread(() -> {
                try (KafkaProducer<byte[], byte[]> producer = Client.producer("acks", "all",
                        "enable.idempotence", "true", "batch.size", 1000 + number * 3000)) {
                    List<Future<RecordMetadata>> sent = new ArrayList<>();
                    for (int i = 0; i < each; i++) {
                        sent.add(producer.send(new ProducerRecord<>(topic, i % 3,
                            Sample.bytes("" + number), Sample.bytes("" + i))));
                    }
                    for (Future<RecordMetadata> one : sent) {
                        one.get();
                    }
                } catch (Throwable error) {
                    errors.add(error);
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Tap.equal(Collections.emptyList(), errors, "errors");
        int[][] next = new int[producers][];
        for (int t = 0; t < producers; t++) {
            next[t] = new int[] {0, 1, 2};
        }
        long[] offset = new long[3];
        for (ConsumerRecord<byte[], byte[]> got : Client.readAll(topic, producers * each)) {
            int who = Integer.parseInt(new String(got.key()));
            Tap.equal(offset[got.partition()]++, got.offset(), "offset");
            Tap.equal(next[who][got.partition()], Integer.parseInt(new String(got.value())), "order");
            next[who][got.partition()] += 3;
        }
    }

    private static byte[] noise(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    private static void large(int size, String codec) throws Exception {
        String topic = Client.topic("large-" + codec, 1);
        byte[] value = noise(size);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("compression.type", codec,
                "max.request.size", 2_000_000)) {
            producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
            producer.send(new ProducerRecord<>(topic, 0, null, Sample.bytes("after"))).get();
        }
        List<ConsumerRecord<byte[], byte[]>> got = Client.readAll(topic, 2, "max.partition.fetch.bytes", 1000);
        Tap.equal(value, got.get(0).value(), "large value");
        Tap.equal("after", new String(got.get(1).value()), "value after it");
    }

    private static void larger() throws Exception {
        String topic = Client.topic("larger", 1, "max.message.bytes", "3000000");
        byte[] value = noise(2_500_000);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("max.request.size", 4_000_000)) {
            producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
        }
        Tap.equal(value, Client.readAll(topic, 1).get(0).value(), "large value");
    }

    private static void tooLarge() throws Exception {
        String topic = Client.topic("too-large", 1);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer("max.request.size", 4_000_000)) {
            Tap.fails("RecordTooLargeException",
                () -> producer.send(new ProducerRecord<>(topic, 0, null, noise(1_048_589))).get());
            Tap.equal(0L, producer.send(Client.plain(topic, "fits")).get().offset(), "offset after it");
        }
        Tap.equal("fits", new String(Client.readAll(topic, 1).get(0).value()), "value");
    }

    private static void tooLargeForTopic() throws Exception {
        String topic = Client.topic("small-limit", 1, "max.message.bytes", "1000");
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            Tap.fails("RecordTooLargeException",
                () -> producer.send(new ProducerRecord<>(topic, 0, null, noise(1200))).get());
            producer.send(new ProducerRecord<>(topic, 0, null, noise(900))).get();
        }
        Tap.equal(noise(900), Client.readAll(topic, 1).get(0).value(), "value");
    }

    private static void compactedNullKey() throws Exception {
        String topic = Client.topic("compacted", 1, "cleanup.policy", "compact");
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            Tap.fails("InvalidRecordException", () -> producer.send(Client.plain(topic, "no key")).get());
            producer.send(new ProducerRecord<>(topic, 0, Sample.bytes("k"), null)).get();
        }
        Tap.equal(null, Client.readAll(topic, 1).get(0).value(), "tombstone");
    }

    private static void unknownTopic() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            Tap.fails("InvalidTopicException",
                () -> producer.send(Client.plain("bad name!", "x")).get());
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            Tap.truth(consumer.listTopics().get("never-made") == null, "unknown topic is not listed");
        }
    }

    private static void positions() throws Exception {
        String topic = Client.filled("positions", 1, 100);
        TopicPartition tp = Client.at(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer();
             KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            consumer.assign(Collections.singleton(tp));
            consumer.seekToBeginning(Collections.singleton(tp));
            Sample.check(Client.read(consumer, 100).get(0), 0, 0);
            consumer.seek(tp, 42);
            List<ConsumerRecord<byte[], byte[]>> got = Client.read(consumer, 58);
            for (int i = 0; i < 58; i++) {
                Sample.check(got.get(i), 42 + i, 42 + i);
            }
            consumer.seekToEnd(Collections.singleton(tp));
            Tap.equal(100L, consumer.position(tp), "position at the end");
            Tap.equal(0, consumer.poll(Duration.ofMillis(150)).count(), "records at the end");
            Client.send(producer, topic, 0, 100, 103);
            Sample.check(Client.read(consumer, 3).get(0), 100, 100);
            Tap.equal(0L, consumer.beginningOffsets(Collections.singleton(tp)).get(tp), "beginning");
            Tap.equal(103L, consumer.endOffsets(Collections.singleton(tp)).get(tp), "end");
        }
    }

    private static void timestamps() throws Exception {
        String topic = Client.filled("timestamps", 2, 200);
        TopicPartition tp = Client.at(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            for (int i : new int[] {0, 1, 57, 199}) {
                OffsetAndTimestamp exact = lookup(consumer, tp, Sample.TIME + i * 1000L);
                Tap.equal((long) i, exact.offset(), "offset of time " + i);
                Tap.equal(Sample.TIME + i * 1000L, exact.timestamp(), "its timestamp");
                Tap.equal((long) i, lookup(consumer, tp, Sample.TIME + i * 1000L - 1).offset(), "just before");
            }
            Tap.equal(null, lookup(consumer, tp, Sample.TIME + 200_000L), "after the last");
            consumer.assign(Collections.singleton(tp));
            consumer.seek(tp, lookup(consumer, tp, Sample.TIME + 150_500L).offset());
            Sample.check(Client.read(consumer, 49).get(0), 151, 151);
        }
    }

    private static OffsetAndTimestamp lookup(KafkaConsumer<byte[], byte[]> consumer, TopicPartition tp, long time) {
        Map<TopicPartition, OffsetAndTimestamp> found =
            consumer.offsetsForTimes(Collections.singletonMap(tp, time));
        return found.get(tp);
    }

    private static void reset() throws Exception {
        String topic = Client.filled("reset", 1, 20);
        TopicPartition tp = Client.at(topic, 0);
        for (String how : new String[] {"earliest", "latest"}) {
            try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("auto.offset.reset", how)) {
                consumer.assign(Collections.singleton(tp));
                Tap.equal(how.equals("latest") ? 20L : 0L, consumer.position(tp), how);
                consumer.seek(tp, 1000);
                Tap.within("position after out of range, " + how, () -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.position(tp) == 20L;
                });
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("auto.offset.reset", "none")) {
            consumer.assign(Collections.singleton(tp));
            Tap.fails("NoOffsetForPartitionException|InvalidGroupIdException", () -> consumer.position(tp));
            consumer.seek(tp, 1000);
            Tap.fails("OffsetOutOfRangeException", () -> {
                for (int i = 0; i < 100; i++) {
                    consumer.poll(Duration.ofMillis(100));
                }
                return null;
            });
        }
    }

    private static void smallFetches() throws Exception {
        String topic = Client.filled("small-fetches", 2, 200);
        int[] next = new int[2];
        for (ConsumerRecord<byte[], byte[]> got : Client.readAll(topic, 400, "max.partition.fetch.bytes", 700,
                "fetch.max.bytes", 900, "max.poll.records", 7)) {
            int i = next[got.partition()]++;
            Sample.check(got, i, i);
        }
    }

    private static KafkaConsumer<byte[], byte[]> patient(TopicPartition tp) {
        KafkaConsumer<byte[], byte[]> consumer = Client.consumer("fetch.min.bytes", 2000, "fetch.max.wait.ms", 30000,
            "request.timeout.ms", 60000);
        consumer.assign(Collections.singleton(tp));
        consumer.seek(tp, 0);
        return consumer;
    }

    private static void longPoll() throws Exception {
        String topic = Client.topic("long-poll", 1);
        try (KafkaConsumer<byte[], byte[]> consumer = patient(Client.at(topic, 0));
             KafkaProducer<byte[], byte[]> producer = Client.producer("linger.ms", 0)) {
            Tap.equal(0, consumer.poll(Duration.ofMillis(300)).count(), "nothing there");
            producer.send(Client.plain(topic, "little")).get();
            Tap.equal(0, consumer.poll(Duration.ofMillis(300)).count(), "too little there");
            woken(topic, consumer, producer);
        }
    }

    /** What is left of a segment is less than fetch.min.bytes, and will stay so: it is answered at once. */
    private static void olderSegment() throws Exception {
        String topic = Client.filled("older-segment", 1, 1);
        try (KafkaConsumer<byte[], byte[]> consumer = patient(Client.at(topic, 0));
             KafkaProducer<byte[], byte[]> producer = Client.producer("linger.ms", 0)) {
            Tap.equal(0, consumer.poll(Duration.ofMillis(300)).count(), "too little there");
            woken(topic, consumer, producer); // the time is years later: the segment is rolled
        }
    }

    private static void woken(String topic, KafkaConsumer<byte[], byte[]> consumer,
            KafkaProducer<byte[], byte[]> producer) throws Exception {
        long start = System.nanoTime();
        producer.send(new ProducerRecord<>(topic, 0, null, noise(3000))).get();
        Client.read(consumer, 2);
        long ms = (System.nanoTime() - start) / 1_000_000;
        Tap.truth(ms < 20000, "the fetch was woken, not timed out: " + ms + " ms");
        consumer.close(Duration.ZERO);
    }

    private static void pauseResume() throws Exception {
        String topic = Client.filled("pause", 2, 50);
        TopicPartition first = Client.at(topic, 0);
        TopicPartition second = Client.at(topic, 1);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            consumer.assign(Arrays.asList(first, second));
            consumer.seekToBeginning(Arrays.asList(first, second));
            consumer.pause(Collections.singleton(first));
            for (ConsumerRecord<byte[], byte[]> got : Client.read(consumer, 50)) {
                Tap.equal(1, got.partition(), "partition while the other is paused");
            }
            consumer.resume(Collections.singleton(first));
            for (ConsumerRecord<byte[], byte[]> got : Client.read(consumer, 50)) {
                Tap.equal(0, got.partition(), "partition after resume");
            }
            consumer.seek(second, 49);
            Sample.check(Client.read(consumer, 1).get(0), 49, 49);
        }
    }

    private static void manyPartitions() throws Exception {
        String topic = Client.topic("many", 40);
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            for (int i = 0; i < 25 * 40; i++) {
                producer.send(Sample.record(topic, i % 40, i / 40));
            }
        }
        int[] next = new int[40];
        for (ConsumerRecord<byte[], byte[]> got : Client.readAll(topic, 25 * 40)) {
            int i = next[got.partition()]++;
            Sample.check(got, i, i);
        }
    }

    private static void autoCreate() throws Exception {
        String topic = Client.prefix + "-auto";
        try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
            producer.send(new ProducerRecord<>(topic, null, Sample.bytes("made"))).get();
        }
        Tap.equal("made", new String(Client.readAll(topic, 1).get(0).value()), "value");
    }
}
