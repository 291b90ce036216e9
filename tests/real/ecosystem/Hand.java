// SPDX-License-Identifier: MIT
//
// Hand BOOTSTRAP: does with Kafka's own client what the lines of its standard input say, words separated
// by tabs. The answer is lines, then one line "." (or "! why" if it failed). One JVM serves a whole suite.
//
//   topic NAME PARTITIONS [KEY=VALUE...]    partitions NAME COUNT      delete NAME       alter NAME KEY=VALUE
//   send TOPIC PARTITION TIME KEY VALUE [HEADER=VALUE...]              clicks TOPIC FROM TO TIME STEP PRODUCTS
//   read TOPIC ISOLATION     all records up to the end:  partition offset time key value [header=value...]
//   topics                   name partitions             config TOPIC  what is set on the topic: key=value
//   commit GROUP TOPIC PARTITION OFFSET                  committed GROUP   topic partition offset
//   groups                   id                          start TOPIC   the first offsets:  partition offset
//   tail TOPIC COUNT         the next COUNT records as they come, after a line "ready": "microseconds key value"

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Hand {
    private static final int BATCH = 20;
    private static final Duration BREATH = Duration.ofMillis(100);

    private static String bootstrap;
    private static Admin admin;
    private static KafkaProducer<String, String> producer;

    private Hand() {
    }

    private static Properties settings(Object... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("retry.backoff.ms", "50");
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    private static KafkaConsumer<String, String> consumer(Object... pairs) {
        Properties settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "fetch.max.wait.ms", "100", "allow.auto.create.topics", "false");
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    private static Map<String, String> pairs(String[] words, int from) {
        Map<String, String> map = new HashMap<>();
        for (int i = from; i < words.length; i++) {
            map.put(words[i].substring(0, words[i].indexOf('=')), words[i].substring(words[i].indexOf('=') + 1));
        }
        return map;
    }

    private static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private static void topic(String[] words) throws Exception {
        NewTopic topic = new NewTopic(words[1], Integer.parseInt(words[2]), (short) 1).configs(pairs(words, 3));
        admin.createTopics(Collections.singleton(topic)).all().get();
    }

    private static void alter(String[] words) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        pairs(words, 2).forEach((name, value) ->
            changes.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        admin.incrementalAlterConfigs(Map.of(resource(words[1]), changes)).all().get();
    }

    private static void send(String[] words) throws Exception {
        ProducerRecord<String, String> record = new ProducerRecord<>(words[1],
            words[2].equals("any") ? null : Integer.valueOf(words[2]), Long.parseLong(words[3]), words[4], words[5]);
        pairs(words, 6).forEach((name, value) -> record.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
        RecordMetadata done = producer.send(record).get();
        System.out.println(done.offset());
    }

    /** Clicks of 100 users on products in turn, in small batches, so that work is spread over the run. */
    private static void clicks(String[] words) throws Exception {
        int from = Integer.parseInt(words[2]);
        int to = Integer.parseInt(words[3]);
        long time = Long.parseLong(words[4]);
        long step = Long.parseLong(words[5]);
        int products = Integer.parseInt(words[6]);
        List<Future<RecordMetadata>> pending = new ArrayList<>();
        for (int i = from; i < to; i++) {
            pending.add(producer.send(new ProducerRecord<>(words[1], null, time + i * step, "user-" + i % 100,
                "product-" + i % products + " " + i)));
            if (i % BATCH == 0) {
                producer.flush();
                Thread.sleep(BATCH);
            }
        }
        for (Future<RecordMetadata> one : pending) {
            one.get();
        }
    }

    private static void print(ConsumerRecord<String, String> record) {
        StringBuilder line = new StringBuilder();
        line.append(record.partition()).append('\t').append(record.offset()).append('\t').append(record.timestamp())
            .append('\t').append(record.key()).append('\t').append(record.value());
        for (Header header : record.headers()) {
            line.append('\t').append(header.key()).append('=')
                .append(new String(header.value(), StandardCharsets.UTF_8));
        }
        System.out.println(line);
    }

    private static List<TopicPartition> assign(KafkaConsumer<String, String> consumer, String topic) {
        List<TopicPartition> all = new ArrayList<>();
        consumer.partitionsFor(topic).forEach(p -> all.add(new TopicPartition(topic, p.partition())));
        consumer.assign(all);
        return all;
    }

    private static void read(String[] words) {
        try (KafkaConsumer<String, String> consumer = consumer("isolation.level", words[2])) {
            List<TopicPartition> all = assign(consumer, words[1]);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                consumer.poll(BREATH).forEach(Hand::print);
            }
        }
    }

    private static void tail(String[] words) {
        try (KafkaConsumer<String, String> consumer = consumer()) {
            List<TopicPartition> all = assign(consumer, words[1]);
            consumer.seekToEnd(all);
            all.forEach(consumer::position);
            System.out.println("ready");
            for (int left = Integer.parseInt(words[2]); left > 0;) {
                for (ConsumerRecord<String, String> record : consumer.poll(BREATH)) {
                    Instant now = Instant.now();
                    long micros = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
                    System.out.println(micros + "\t" + record.key() + "\t" + record.value());
                    left--;
                }
            }
        }
    }

    private static void topics() throws Exception {
        Collection<String> names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        admin.describeTopics(names).allTopicNames().get().forEach((name, topic) ->
            System.out.println(name + "\t" + topic.partitions().size()));
    }

    private static void config(String topic) throws Exception {
        for (ConfigEntry entry : admin.describeConfigs(Collections.singleton(resource(topic))).all().get()
                .get(resource(topic)).entries()) {
            if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                System.out.println(entry.name() + "=" + entry.value());
            }
        }
    }

    private static void commit(String[] words) throws Exception {
        admin.alterConsumerGroupOffsets(words[1], Map.of(new TopicPartition(words[2], Integer.parseInt(words[3])),
            new OffsetAndMetadata(Long.parseLong(words[4])))).all().get();
    }

    private static void committed(String group) throws Exception {
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((at, offset) ->
            System.out.println(at.topic() + "\t" + at.partition() + "\t" + offset.offset()));
    }

    private static void start(String topic) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        int count = admin.describeTopics(Collections.singleton(topic)).allTopicNames().get().get(topic)
            .partitions().size();
        for (int p = 0; p < count; p++) {
            wanted.put(new TopicPartition(topic, p), OffsetSpec.earliest());
        }
        admin.listOffsets(wanted).all().get().forEach((at, found) ->
            System.out.println(at.partition() + "\t" + found.offset()));
    }

    private static void perform(String[] words) throws Exception {
        switch (words[0]) {
            case "topic" -> topic(words);
            case "partitions" -> admin.createPartitions(Map.of(words[1],
                NewPartitions.increaseTo(Integer.parseInt(words[2])))).all().get();
            case "delete" -> admin.deleteTopics(Collections.singleton(words[1])).all().get();
            case "alter" -> alter(words);
            case "send" -> send(words);
            case "clicks" -> clicks(words);
            case "read" -> read(words);
            case "tail" -> tail(words);
            case "topics" -> topics();
            case "config" -> config(words[1]);
            case "commit" -> commit(words);
            case "committed" -> committed(words[1]);
            case "groups" -> admin.listGroups().all().get().forEach(group -> System.out.println(group.groupId()));
            case "start" -> start(words[1]);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        admin = Admin.create(settings());
        producer = new KafkaProducer<>(settings("linger.ms", "1", "delivery.timeout.ms", "60000",
            "request.timeout.ms", "10000"), new StringSerializer(), new StringSerializer());
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            try {
                perform(line.split("\t"));
                System.out.println(".");
            } catch (Exception problem) {
                System.out.println("! " + String.valueOf(problem).replace('\n', ' '));
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
