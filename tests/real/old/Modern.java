// SPDX-License-Identifier: MIT
//
// Modern BOOTSTRAP PREFIX write|read: the newest client's half of the tests with clients of former
// times. It writes what they read, then reads what they wrote. Results as TAP.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

final class Modern {
    private static String address;
    private static String prefix;

    private Modern() {
    }

    private static KafkaProducer<byte[], byte[]> producer(Object... more) {
        Map<String, Object> settings = settings(more);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static Map<String, Object> settings(Object... more) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", address);
        for (int i = 0; i < more.length; i += 2) {
            settings.put((String) more[i], more[i + 1]);
        }
        return settings;
    }

    private static String create(Admin admin, String name, String... configs) throws Exception {
        NewTopic topic = new NewTopic(prefix + name, Optional.of(1), Optional.empty());
        Map<String, String> settings = new HashMap<>(Map.of("retention.ms", "-1")); // the sample's time is 2020
        if (configs.length > 0) {
            settings.put(configs[0], configs[1]);
        }
        topic.configs(settings);
        admin.createTopics(List.of(topic)).all().get();
        return prefix + name;
    }

    /** A batch of 50 records at a time, so that there are offsets within compressed batches. */
    private static void fill(String topic, String codec) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer("compression.type", codec, "linger.ms", 50)) {
            for (int i = 0; i < Sample.COUNT; i++) {
                p.send(Sample.record(topic, 0, i));
                if (i % 50 == 49) {
                    p.flush();
                }
            }
        }
    }

    private static void transactions(String topic) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer("transactional.id", topic)) {
            p.initTransactions();
            for (int round = 0; round < 3; round++) {
                p.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    p.send(Sample.record(topic, 0, 10 * round + i));
                }
                if (round == 1) {
                    p.flush();
                    p.abortTransaction();
                } else {
                    p.commitTransaction();
                }
            }
        }
    }

    private static void write() throws Exception {
        try (Admin admin = Admin.create(settings())) {
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
                Tap.test("the newest client writes, " + codec, () -> fill(create(admin, "-m-" + codec), codec));
            }
            Tap.test("the newest client writes transactions", () -> transactions(create(admin, "-m-txn")));
            Tap.test("the newest client writes a large record", () -> {
                String topic = create(admin, "-m-large");
                try (KafkaProducer<byte[], byte[]> p = producer()) {
                    p.send(new ProducerRecord<>(topic, 0, 1000L, null, new byte[900_000])).get();
                    p.send(new ProducerRecord<>(topic, 0, 2000L, null, Sample.bytes("behind it"))).get();
                }
            });
            Tap.test("the newest client writes transactions of one record", () -> {
                String topic = create(admin, "-m-markers");
                try (KafkaProducer<byte[], byte[]> p = producer("transactional.id", topic)) {
                    p.initTransactions();
                    for (int i = 0; i < 20; i++) {
                        p.beginTransaction();
                        p.send(Sample.record(topic, 0, i));
                        p.flush();
                        p.abortTransaction();
                    }
                }
            });
            Tap.test("topics for the old client", () -> {
                for (String name : List.of("none", "gzip", "snappy", "lz4")) {
                    create(admin, "-o-sample-" + name);
                }
                for (String name : List.of("acks-0", "acks-1", "acks-all", "headers", "txn")) {
                    create(admin, "-o-" + name);
                }
                create(admin, "-o-append", "message.timestamp.type", "LogAppendTime");
                create(admin, "-o-compact", "cleanup.policy", "compact");
                create(admin, "-o-gzipped", "compression.type", "gzip");
                create(admin, "-o-wide", "max.message.bytes", "3000000");
            });
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> all(String topic) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(
                settings("check.crcs", true), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition place = new TopicPartition(topic, 0);
            c.assign(Set.of(place));
            c.seekToBeginning(Set.of(place));
            long end = c.endOffsets(Set.of(place)).get(place);
            while (c.position(place) < end) {
                c.poll(Duration.ofMillis(200)).forEach(got::add);
            }
        }
        return got;
    }

    private static void read() throws Exception {
        Set<String> topics;
        try (Admin admin = Admin.create(settings())) {
            topics = new TreeSet<>(admin.listTopics().names().get());
        }
        topics.removeIf(t -> !t.startsWith(prefix + "-o-sample-"));
        Tap.test("the old client wrote something", () -> Tap.truth(topics.size() >= 4, "topics " + topics));
        for (String topic : topics) {
            Tap.test("the newest client reads " + topic.substring(prefix.length()), () -> {
                List<ConsumerRecord<byte[], byte[]>> got = all(topic);
                Tap.equal(Sample.COUNT, got.size(), "records");
                for (int i = 0; i < got.size(); i++) {
                    ConsumerRecord<byte[], byte[]> r = got.get(i);
                    Tap.equal((long) i, r.offset(), "offset");
                    Tap.equal(Sample.TIME + i * 1000L, r.timestamp(), "time of " + i);
                    Tap.equal(Sample.key(i), r.key(), "key of " + i);
                    Tap.equal(Sample.value(i), r.value(), "value of " + i);
                    Tap.equal(0, r.headers().toArray().length, "headers of " + i);
                }
            });
        }
    }

    public static void main(String[] args) throws Exception {
        address = args[0];
        prefix = args[1];
        if (args[2].equals("write")) {
            write();
        } else {
            read();
        }
        System.exit(Tap.finish());
    }
}
