// SPDX-License-Identifier: MIT
//
// The admin client: each call, its effect seen by another call, and its errors.

import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

final class AdminCases {
    private AdminCases() {
    }

    static void run() {
        Tap.test("create topics: partitions, configs, ids", AdminCases::create);
        Tap.test("create topics: errors", AdminCases::createErrors);
        Tap.test("create topics: validate only", AdminCases::validateOnly);
        Tap.test("create topics: broker defaults", AdminCases::createDefaults);
        Tap.test("create topics: manual assignment", AdminCases::manualAssignment);
        Tap.test("delete topics, recreate with a new id", AdminCases::delete);
        Tap.test("create partitions", AdminCases::partitions);
        Tap.test("describe configs: sources, synonyms", AdminCases::describeConfigs);
        Tap.test("incremental alter configs", AdminCases::incremental);
        if (Client.MAJOR < 4) {
            Tap.test("alter configs replaces all", AdminCases::alterAll);
        }
        Tap.test("describe broker configs", AdminCases::brokerConfigs);
        Tap.test("describe cluster", AdminCases::cluster);
        Tap.test("describe log dirs", AdminCases::logDirs);
        Tap.test("delete records", AdminCases::deleteRecords);
        Tap.test("list offsets: earliest, latest, time, max timestamp", AdminCases::listOffsets);
        Tap.test("list topics", AdminCases::listTopics);
    }

    private static void create() throws Exception {
        String name = Client.prefix + "-admin";
        Map<String, String> configs = new HashMap<>();
        configs.put("segment.bytes", "2000000");
        configs.put("cleanup.policy", "compact,delete");
        CreateTopicsResult result = Client.admin.createTopics(
            Collections.singleton(new NewTopic(name, 3, (short) 1).configs(configs)));
        Tap.equal(3, result.numPartitions(name).get(), "partitions in the reply");
        Tap.equal(1, result.replicationFactor(name).get(), "replicas in the reply");
        Tap.equal("2000000", result.config(name).get().get("segment.bytes").value(), "config in the reply");
        Tap.within("the topic is listed", () -> Client.admin.listTopics().names().get().contains(name));
        TopicDescription got = Client.describe(name);
        Tap.equal(3, got.partitions().size(), "partitions");
        Tap.equal(false, got.isInternal(), "internal");
        for (int p = 0; p < 3; p++) {
            Tap.equal(p, got.partitions().get(p).partition(), "partition");
            Tap.equal(1, got.partitions().get(p).replicas().size(), "replicas");
            Tap.equal(1, got.partitions().get(p).isr().size(), "in sync");
            Tap.truth(got.partitions().get(p).leader().port() > 0, "leader's port");
        }
        if (Client.MAJOR >= 3) {
            Tap.equal(Client.call(result.getClass().getMethod("topicId", String.class)
                .invoke(result, name), "get"), Client.call(got, "topicId"), "topic id");
        }
    }

    private static KafkaFuture<Void> create(NewTopic topic) {
        return Client.admin.createTopics(Collections.singleton(topic)).all();
    }

    private static void createErrors() throws Exception {
        String taken = Client.topic("taken", 1);
        String fresh = Client.prefix + "-fresh";
        short one = 1;
        Tap.fails("TopicExistsException", () -> create(new NewTopic(taken, 1, one)).get());
        Tap.fails("InvalidTopicException", () -> create(new NewTopic("a b", 1, one)).get());
        Tap.fails("InvalidTopicException", () -> create(new NewTopic("..", 1, one)).get());
        Tap.fails("InvalidPartitionsException", () -> create(new NewTopic(fresh, 0, one)).get());
        Tap.fails("InvalidReplicationFactorException", () -> create(new NewTopic(fresh, 1, (short) 3)).get());
        Tap.fails("InvalidConfigurationException", () -> create(new NewTopic(fresh, 1, one)
            .configs(Collections.singletonMap("no.such.key", "1"))).get());
        Tap.fails("InvalidConfigurationException", () -> create(new NewTopic(fresh, 1, one)
            .configs(Collections.singletonMap("retention.ms", "soon"))).get());
        Tap.fails("UnknownTopicOrPartitionException", () -> Client.describe(fresh));
    }

    private static void validateOnly() throws Exception {
        String name = Client.prefix + "-validated";
        Client.admin.createTopics(Collections.singleton(new NewTopic(name, 2, (short) 1)),
            new CreateTopicsOptions().validateOnly(true)).all().get();
        Tap.fails("UnknownTopicOrPartitionException", () -> Client.describe(name));
    }

    private static void createDefaults() throws Exception {
        String name = Client.prefix + "-defaults";
        create(new NewTopic(name, java.util.Optional.empty(), java.util.Optional.empty())).get();
        Tap.within("the topic is listed", () -> Client.admin.listTopics().names().get().contains(name));
        Tap.truth(Client.describe(name).partitions().size() >= 1, "partitions by default");
    }

    private static void manualAssignment() throws Exception {
        int broker = Client.admin.describeCluster().nodes().get().iterator().next().id();
        String name = Client.prefix + "-manual";
        create(new NewTopic(name, Collections.singletonMap(0, Collections.singletonList(broker)))).get();
        Tap.within("the topic is listed", () -> Client.admin.listTopics().names().get().contains(name));
        Tap.equal(broker, Client.describe(name).partitions().get(0).leader().id(), "leader");
        Tap.fails("InvalidReplicaAssignmentException", () -> create(new NewTopic(name + "2",
            Collections.singletonMap(0, Collections.singletonList(broker + 77)))).get());
        Tap.fails("InvalidReplicaAssignmentException", () -> create(new NewTopic(name + "3",
            Collections.singletonMap(1, Collections.singletonList(broker)))).get());
    }

    private static void delete() throws Exception {
        String name = Client.filled("delete", 1, 30);
        Client.admin.deleteTopics(Collections.singleton(name)).all().get();
        Tap.within("topic is gone", () -> !Client.admin.listTopics().names().get().contains(name));
        Tap.fails("UnknownTopicOrPartitionException",
            () -> Client.admin.deleteTopics(Collections.singleton(name)).all().get());
        Client.topic("delete", 2);
        Tap.equal(2, Client.describe(name).partitions().size(), "partitions after recreation");
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            TopicPartition tp = Client.at(name, 0);
            Tap.equal(0L, consumer.endOffsets(Collections.singleton(tp)).get(tp), "recreated is empty");
        }
    }

    private static void partitions() throws Exception {
        String name = Client.topic("grow", 2);
        Client.admin.createPartitions(Collections.singletonMap(name, NewPartitions.increaseTo(5))).all().get();
        Tap.within("five partitions", () -> Client.describe(name).partitions().size() == 5);
        Tap.fails("InvalidPartitionsException", () -> Client.admin.createPartitions(
            Collections.singletonMap(name, NewPartitions.increaseTo(5))).all().get());
        Tap.fails("InvalidPartitionsException", () -> Client.admin.createPartitions(
            Collections.singletonMap(name, NewPartitions.increaseTo(3))).all().get());
        Tap.fails("UnknownTopicOrPartitionException", () -> Client.admin.createPartitions(
            Collections.singletonMap(name + "-no", NewPartitions.increaseTo(3))).all().get());
        org.apache.kafka.clients.producer.KafkaProducer<byte[], byte[]> producer = Client.producer();
        try {
            Client.send(producer, name, 4, 0, 5);
        } finally {
            producer.close();
        }
        Tap.equal(5, Client.readAll(name, 5).size(), "records in the new partition");
    }

    private static Config configs(ConfigResource resource) throws Exception {
        return Client.admin.describeConfigs(Collections.singleton(resource)).all().get().get(resource);
    }

    private static void describeConfigs() throws Exception {
        String name = Client.topic("described", 1, "segment.ms", "1234567");
        Config got = configs(Client.resource(name));
        ConfigEntry set = got.get("segment.ms");
        Tap.equal("1234567", set.value(), "segment.ms");
        Tap.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, set.source(), "its source");
        ConfigEntry free = got.get("max.message.bytes");
        Tap.equal("1048588", free.value(), "max.message.bytes");
        Tap.truth(free.source() == ConfigEntry.ConfigSource.DEFAULT_CONFIG
            || free.source() == ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG, "source " + free.source());
        for (String key : Arrays.asList("cleanup.policy", "compression.type", "delete.retention.ms",
                "file.delete.delay.ms", "flush.messages", "flush.ms", "index.interval.bytes",
                "max.compaction.lag.ms", "message.timestamp.type", "min.cleanable.dirty.ratio",
                "min.compaction.lag.ms", "min.insync.replicas", "preallocate", "retention.bytes",
                "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms",
                "unclean.leader.election.enable", "message.timestamp.before.max.ms",
                "message.timestamp.after.max.ms")) {
            Tap.truth(got.get(key) != null, "config " + key + " is described");
            Tap.truth(got.get(key).value() != null, "config " + key + " has a value");
        }
        Tap.fails("UnknownTopicOrPartitionException", () -> configs(Client.resource(name + "-no")));
    }

    private static void alter(ConfigResource resource, AlterConfigOp... ops) throws Exception {
        Map<ConfigResource, Collection<AlterConfigOp>> map = new HashMap<>();
        map.put(resource, Arrays.asList(ops));
        Client.admin.incrementalAlterConfigs(map).all().get();
    }

    private static AlterConfigOp op(String key, String value, AlterConfigOp.OpType type) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    private static void incremental() throws Exception {
        ConfigResource resource = Client.resource(Client.topic("incremental", 1, "segment.ms", "1234567"));
        alter(resource, op("retention.bytes", "5000000", AlterConfigOp.OpType.SET),
            op("segment.ms", "", AlterConfigOp.OpType.DELETE));
        Tap.within("set and delete seen", () -> configs(resource).get("retention.bytes").value()
            .equals("5000000"));
        Tap.equal("604800000", configs(resource).get("segment.ms").value(), "segment.ms after delete");
        alter(resource, op("cleanup.policy", "compact", AlterConfigOp.OpType.APPEND));
        Tap.within("append seen", () -> configs(resource).get("cleanup.policy").value()
            .equals("delete,compact"));
        alter(resource, op("cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT));
        Tap.within("subtract seen", () -> configs(resource).get("cleanup.policy").value()
            .equals("compact"));
        Tap.equal("-1", configs(resource).get("retention.ms").value(), "untouched key");
        Tap.fails("InvalidConfigurationException|InvalidRequestException", () -> {
            alter(resource, op("retention.bytes", "many", AlterConfigOp.OpType.SET));
            return null;
        });
        Tap.fails("InvalidConfigurationException|InvalidRequestException", () -> {
            alter(resource, op("no.such.key", "1", AlterConfigOp.OpType.SET));
            return null;
        });
        Tap.equal("5000000", configs(resource).get("retention.bytes").value(), "after the errors");
    }

    /** The call is gone in 4.0. */
    private static void alterAll() throws Exception {
        ConfigResource resource = Client.resource(Client.topic("alter-all", 1, "segment.ms", "1234567"));
        Map<ConfigResource, Config> map = Collections.singletonMap(resource,
            new Config(Collections.singleton(new ConfigEntry("retention.bytes", "7000000"))));
        Object result = org.apache.kafka.clients.admin.Admin.class.getMethod("alterConfigs", Map.class)
            .invoke(Client.admin, map);
        ((KafkaFuture<?>) Client.call(result, "all")).get();
        Tap.within("new value seen", () -> configs(resource).get("retention.bytes").value()
            .equals("7000000"));
        Tap.equal("604800000", configs(resource).get("segment.ms").value(), "segment.ms is reset");
    }

    private static void brokerConfigs() throws Exception {
        int broker = Client.admin.describeCluster().nodes().get().iterator().next().id();
        Config got = configs(new ConfigResource(ConfigResource.Type.BROKER, "" + broker));
        for (String key : Arrays.asList("log.segment.bytes", "log.retention.ms", "num.partitions",
                "message.max.bytes", "log.dirs", "listeners", "offsets.topic.num.partitions",
                "group.initial.rebalance.delay.ms", "auto.create.topics.enable")) {
            Tap.truth(got.get(key) != null, "broker config " + key + " is described");
        }
    }

    private static void cluster() throws Exception {
        DescribeClusterResult got = Client.admin.describeCluster();
        Tap.equal(22, got.clusterId().get().length(), "length of the cluster id");
        Tap.equal(1, got.nodes().get().size(), "nodes");
        Tap.equal(got.nodes().get().iterator().next().id(), got.controller().get().id(), "controller");
        String address = got.controller().get().host() + ":" + got.controller().get().port();
        Tap.equal(Client.bootstrap.replace("localhost", "127.0.0.1"),
            address.replace("localhost", "127.0.0.1"), "address");
    }

    private static void logDirs() throws Exception {
        String name = Client.filled("dirs", 2, 100);
        int broker = Client.admin.describeCluster().nodes().get().iterator().next().id();
        Map<String, LogDirDescription> got = Client.admin.describeLogDirs(Collections.singleton(broker))
            .descriptions().get(broker).get();
        Tap.truth(!got.isEmpty(), "a log directory");
        long total = 0;
        for (LogDirDescription dir : got.values()) {
            Tap.equal(null, dir.error(), "error");
            for (int p = 0; p < 2; p++) {
                if (dir.replicaInfos().containsKey(Client.at(name, p))) {
                    long size = dir.replicaInfos().get(Client.at(name, p)).size();
                    Tap.truth(size > 100 * 250, "size of partition " + p + ": " + size);
                    total++;
                }
            }
        }
        Tap.equal(2L, total, "partitions found");
    }

    private static void deleteRecords() throws Exception {
        String name = Client.filled("delete-records", 1, 100);
        TopicPartition tp = Client.at(name, 0);
        Tap.equal(40L, Client.admin.deleteRecords(Collections.singletonMap(tp, RecordsToDelete.beforeOffset(40)))
            .lowWatermarks().get(tp).get().lowWatermark(), "low watermark");
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            Tap.equal(40L, consumer.beginningOffsets(Collections.singleton(tp)).get(tp), "beginning");
        }
        List<ConsumerRecord<byte[], byte[]>> got = Client.readAll(name, 60);
        Sample.check(got.get(0), 40, 40);
        Tap.fails("OffsetOutOfRangeException", () -> Client.admin.deleteRecords(
            Collections.singletonMap(tp, RecordsToDelete.beforeOffset(101))).all().get());
        Client.admin.deleteRecords(Collections.singletonMap(tp, RecordsToDelete.beforeOffset(-1))).all().get();
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer()) {
            Tap.equal(100L, consumer.beginningOffsets(Collections.singleton(tp)).get(tp), "all deleted");
        }
    }

    private static long offset(TopicPartition tp, OffsetSpec spec) throws Exception {
        return Client.admin.listOffsets(Collections.singletonMap(tp, spec)).partitionResult(tp).get().offset();
    }

    private static void listOffsets() throws Exception {
        TopicPartition tp = Client.at(Client.filled("list-offsets", 1, 80), 0);
        Tap.equal(0L, offset(tp, OffsetSpec.earliest()), "earliest");
        Tap.equal(80L, offset(tp, OffsetSpec.latest()), "latest");
        Tap.equal(33L, offset(tp, OffsetSpec.forTimestamp(Sample.TIME + 32_001)), "by time");
        Tap.equal(-1L, offset(tp, OffsetSpec.forTimestamp(Sample.TIME + 80_000)), "after the last");
        if (Client.MAJOR >= 3) {
            OffsetSpec max = (OffsetSpec) OffsetSpec.class.getMethod("maxTimestamp").invoke(null);
            Tap.equal(79L, offset(tp, max), "max timestamp");
        }
        if (Client.MAJOR >= 4) {
            OffsetSpec local = (OffsetSpec) OffsetSpec.class.getMethod("earliestLocal").invoke(null);
            Tap.equal(0L, offset(tp, local), "earliest local");
        }
        Tap.fails("UnknownTopicOrPartitionException|TimeoutException|LeaderNotAvailableException",
            () -> Client.admin.listOffsets(Collections.singletonMap(Client.at(tp.topic(), 9), OffsetSpec.latest()),
                new org.apache.kafka.clients.admin.ListOffsetsOptions().timeoutMs(1000)).all().get());
    }

    private static void listTopics() throws Exception {
        String name = Client.topic("listed", 1);
        Tap.truth(Client.admin.listTopics().names().get().contains(name), "topic is listed");
        Tap.truth(!Client.admin.listTopics().names().get().contains("__consumer_offsets"), "internal is hidden");
    }
}
