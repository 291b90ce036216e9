// SPDX-License-Identifier: MIT
//
// What the cases share: clients with short settings, and helpers around calls whose names changed
// between the client versions.

import java.lang.reflect.Method;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

final class Client {
    static String bootstrap;
    static String prefix;
    static Admin admin;
    /** The client's version, which run.py hands in: the class that knows it has moved between versions. */
    static final String VERSION = System.getProperty("client.version");
    static final int MAJOR = Integer.parseInt(VERSION.split("\\.")[0]);

    private Client() {
    }

    static void open(String address, String name) {
        bootstrap = address;
        prefix = name;
        Properties settings = settings();
        settings.put("default.api.timeout.ms", 60000);
        settings.put("request.timeout.ms", 30000);
        settings.put("retry.backoff.ms", 20);
        admin = Admin.create(settings);
    }

    /** Settings from pairs "key", value. */
    static Properties settings(Object... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... pairs) {
        Properties settings = settings("delivery.timeout.ms", 60000, "request.timeout.ms", 30000,
            "linger.ms", 2, "max.block.ms", 60000);
        settings.putAll(settings(pairs));
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
        Properties settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "default.api.timeout.ms", 60000, "fetch.max.wait.ms", 100, "heartbeat.interval.ms", 200,
            "session.timeout.ms", 30000, "retry.backoff.ms", 20, "allow.auto.create.topics", "false");
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Creates a topic whose old timestamps retention must not delete; configs are pairs. */
    static String topic(String name, int partitions, String... configs) throws Exception {
        Map<String, String> map = new HashMap<>();
        map.put("retention.ms", "-1");
        for (int i = 0; i < configs.length; i += 2) {
            map.put(configs[i], configs[i + 1]);
        }
        String full = prefix + "-" + name;
        admin.createTopics(Collections.singleton(new NewTopic(full, partitions, (short) 1).configs(map)))
            .all().get();
        Tap.within("topic " + full + " is in the metadata", () -> {
            try {
                return describe(full).partitions().size() == partitions;
            } catch (java.util.concurrent.ExecutionException notYet) {
                return false;
            }
        });
        // Kafka tells of a topic before its leader serves it; an answer of the leader says that it does.
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (int p = 0; p < partitions; p++) {
            ends.put(at(full, p), OffsetSpec.latest());
        }
        admin.listOffsets(ends).all().get();
        return full;
    }

    static TopicDescription describe(String topic) throws Exception {
        Object result = admin.describeTopics(Collections.singleton(topic));
        Map<?, ?> map = (Map<?, ?>) call(result, MAJOR >= 4 ? "topicNameValues" : "values");
        return (TopicDescription) ((KafkaFuture<?>) map.get(topic)).get();
    }

    static Object call(Object on, String method) throws Exception {
        Method found = on.getClass().getMethod(method);
        found.setAccessible(true);
        return found.invoke(on);
    }

    static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    static TopicPartition at(String topic, int partition) {
        return new TopicPartition(topic, partition);
    }

    /** Sends samples [from, to) to a partition and returns their metadata. */
    static List<RecordMetadata> send(KafkaProducer<byte[], byte[]> producer, String topic, int partition,
            int from, int to) throws Exception {
        List<java.util.concurrent.Future<RecordMetadata>> pending = new ArrayList<>();
        for (int i = from; i < to; i++) {
            pending.add(producer.send(Sample.record(topic, partition, i)));
        }
        producer.flush();
        List<RecordMetadata> done = new ArrayList<>();
        for (java.util.concurrent.Future<RecordMetadata> future : pending) {
            done.add(future.get());
        }
        return done;
    }

    /** Creates a topic of one partition (or more) with count samples in each. */
    static String filled(String name, int partitions, int count) throws Exception {
        String topic = topic(name, partitions);
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int p = 0; p < partitions; p++) {
                send(producer, topic, p, 0, count);
            }
        }
        return topic;
    }

    static ProducerRecord<byte[], byte[]> plain(String topic, String value) {
        return new ProducerRecord<>(topic, 0, null, Sample.bytes(value));
    }

    /** Polls until count records have come; then they must be exactly that many. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long end = System.nanoTime() + Tap.PATIENCE_SECONDS * 1_000_000_000L;
        while (got.size() < count && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(got::add);
        }
        Tap.equal(count, got.size(), "records read");
        return got;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int count, Object... settings) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
            Collection<TopicPartition> all = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(p -> all.add(at(topic, p.partition())));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            return read(consumer, count);
        }
    }
}
