// SPDX-License-Identifier: MIT
//
// What clients from 1.0 on have besides: headers, idempotence, transactions, an admin client.

import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;

final class Newer {
    private Newer() {
    }

    private static void headers() throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got = Old.read(Old.prefix + "-m-gzip", 0, Old.COUNT);
        for (int i = 0; i < got.size(); i++) {
            Header[] headers = got.get(i).headers().toArray();
            Tap.equal(i % 3 == 0 ? 3 : 0, headers.length, "headers of " + i);
            if (i % 3 == 0) {
                Tap.equal("n", headers[0].key(), "name");
                Tap.equal(Old.bytes("" + i), headers[0].value(), "value");
            }
        }
        String topic = Old.prefix + "-o-headers";
        try (KafkaProducer<byte[], byte[]> p = Old.producer("enable.idempotence", true)) {
            ProducerRecord<byte[], byte[]> record = Old.sample(topic, 3);
            record.headers().add("own", Old.bytes("header"));
            p.send(record).get();
        }
        Header[] headers = Old.read(topic, 0, 1).get(0).headers().toArray();
        Tap.equal(Old.bytes("header"), headers[0].value(), "own header");
    }

    private static void committed() throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got =
            Old.read(Old.prefix + "-m-txn", 0, 20, "isolation.level", "read_committed");
        for (int i = 0; i < 20; i++) {
            int sample = i < 10 ? i : i + 10;
            Old.check(got.get(i), sample, sample + sample / 10);
        }
    }

    private static void transactions() throws Exception {
        String topic = Old.prefix + "-o-txn";
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> p = Old.producer("transactional.id", topic)) {
            p.initTransactions();
            for (int round = 0; round < 3; round++) {
                p.beginTransaction();
                for (int i = 0; i < 5; i++) {
                    p.send(Old.sample(topic, 5 * round + i));
                }
                p.sendOffsetsToTransaction(
                    Collections.singletonMap(place, new OffsetAndMetadata(5 * round + 5)), topic + "-group");
                p.flush(); // an abort drops what the client has not yet sent
                if (round == 1) {
                    p.abortTransaction();
                } else {
                    p.commitTransaction();
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> got = Old.read(topic, 0, 10, "isolation.level", "read_committed");
        Old.check(got.get(9), 14, 16);
        Tap.equal(15, Old.read(topic, 0, 15).size(), "uncommitted");
        try (AdminClient admin = AdminClient.create(Old.settings())) {
            groupOffset(admin, topic + "-group", place, 15);
        }
    }

    /** ListConsumerGroupOffsets is there since 2.0; a consumer can tell as well. */
    private static void groupOffset(AdminClient admin, String group, TopicPartition place, long offset)
            throws Exception {
        try (org.apache.kafka.clients.consumer.KafkaConsumer<byte[], byte[]> c = Old.consumer("group.id", group)) {
            Tap.within("the offset of the transaction, whose marker comes later than the answer",
                () -> c.committed(place) != null && c.committed(place).offset() == offset);
        }
    }

    private static void topics(AdminClient admin) throws Exception {
        String name = Old.prefix + "-a-topic";
        NewTopic topic = new NewTopic(name, 2, (short) 1).configs(Collections.singletonMap("retention.ms", "5000000"));
        admin.createTopics(Collections.singleton(topic)).all().get();
        Tap.fails("TopicExistsException", () -> admin.createTopics(Collections.singleton(topic)).all().get());
        Tap.truth(admin.listTopics().names().get().contains(name), "listed");
        admin.createPartitions(Collections.singletonMap(name, NewPartitions.increaseTo(3))).all().get();
        Tap.within("three partitions", () -> {
            TopicDescription d = admin.describeTopics(Collections.singleton(name)).all().get().get(name);
            return d.partitions().size() == 3;
        });
        Tap.equal(1, admin.describeCluster().nodes().get().size(), "nodes");
        admin.deleteTopics(Collections.singleton(name)).all().get();
        Tap.within("gone", () -> !admin.listTopics().names().get().contains(name));
        Tap.fails("UnknownTopicOrPartitionException",
                  () -> admin.deleteTopics(Collections.singleton(name)).all().get());
    }

    private static Map<String, String> describe(AdminClient admin, ConfigResource resource) throws Exception {
        Map<String, String> got = new HashMap<>();
        for (ConfigEntry e : admin.describeConfigs(Collections.singleton(resource)).all().get().get(resource).entries()) {
            got.put(e.name(), e.value() + (e.isDefault() ? " by default" : ""));
        }
        return got;
    }

    private static void configs(AdminClient admin) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, Old.prefix + "-o-gzipped");
        Tap.equal("gzip", describe(admin, resource).get("compression.type"), "as created");
        Tap.equal("1073741824 by default", describe(admin, resource).get("segment.bytes"), "a default");
        Collection<ConfigEntry> entries = Arrays.asList(
            new ConfigEntry("compression.type", "gzip"), new ConfigEntry("retention.ms", "7000000"));
        admin.alterConfigs(Collections.singletonMap(resource, new Config(entries))).all().get();
        Tap.within("altered", () -> "7000000".equals(describe(admin, resource).get("retention.ms")));
        int broker = admin.describeCluster().nodes().get().iterator().next().id();
        Tap.equal(1, admin.describeLogDirs(Collections.singleton(broker)).all().get().get(broker).size(), "directories");
    }

    static void run() {
        Tap.test("headers", Newer::headers);
        Tap.test("transactions of the newest client, committed", Newer::committed);
        Tap.test("its own transactions", Newer::transactions);
        try (AdminClient admin = AdminClient.create(Old.settings())) {
            Tap.test("topics", () -> topics(admin));
            Tap.test("configs and directories", () -> configs(admin));
        }
    }
}
