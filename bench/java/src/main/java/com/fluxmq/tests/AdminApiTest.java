// SPDX-License-Identifier: MIT
//
// AdminApiTest [HOST:PORT]: eleven calls of the admin client, each checked by what it did.

package com.fluxmq.tests;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

public final class AdminApiTest {
    private final Cases cases;
    private final String topic;
    private final String group;
    private final TopicPartition first;

    private AdminApiTest(Cases cases) {
        this.cases = cases;
        this.topic = cases.name;
        this.group = cases.name + "-group";
        this.first = new TopicPartition(topic, 0);
    }

    public static void main(String[] args) {
        Cases cases = new Cases(AdminApiTest.class, args);
        new AdminApiTest(cases).run();
        cases.finish();
    }

    private void run() {
        cases.test("createTopics", () -> {
            cases.admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1)
                .configs(Map.of("retention.ms", "123456789")))).all().get();
            Cases.within(10, "the topic has its partitions", () -> names().contains(topic));
        });
        cases.test("listTopics", () -> Cases.equal(true, names().contains(topic), "the topic is listed"));
        cases.test("describeTopics", () -> Cases.equal(2, describe().partitions().size(), "partitions"));
        cases.test("describeCluster", this::describeCluster);
        cases.test("describeConfigs", () -> {
            Cases.equal("123456789", config("retention.ms").value(), "retention.ms");
            Cases.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config("retention.ms").source(), "its source");
        });
        cases.test("incrementalAlterConfigs", () -> {
            cases.admin.incrementalAlterConfigs(Map.of(resource(), List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "60000"), AlterConfigOp.OpType.SET)))).all().get();
            Cases.within(10, "the new value", () -> config("retention.ms").value().equals("60000"));
        });
        cases.test("createPartitions", () -> {
            cases.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            Cases.within(10, "five partitions", () -> describe().partitions().size() == 5);
        });
        cases.test("listOffsets", () -> {
            try (KafkaProducer<String, String> producer = cases.producer()) {
                for (int i = 0; i < 20; i++) {
                    producer.send(new ProducerRecord<>(topic, 0, null, "record " + i)).get();
                }
            }
            Cases.equal(20L, offset(OffsetSpec.latest()), "latest");
            Cases.equal(0L, offset(OffsetSpec.earliest()), "earliest");
        });
        cases.test("deleteRecords", () -> {
            Cases.equal(7L, cases.admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(7)))
                .lowWatermarks().get(first).get().lowWatermark(), "the low watermark");
            Cases.equal(7L, offset(OffsetSpec.earliest()), "earliest");
        });
        cases.test("alterConsumerGroupOffsets, and the group is gone after deleteConsumerGroups", this::groups);
        cases.test("deleteTopics", () -> {
            cases.admin.deleteTopics(List.of(topic)).all().get();
            Cases.within(10, "the topic is gone", () -> !names().contains(topic));
        });
    }

    private void describeCluster() throws Exception {
        var nodes = cases.admin.describeCluster().nodes().get();
        var controller = cases.admin.describeCluster().controller().get();
        Cases.equal(true, nodes.contains(controller), "the controller is one of the nodes");
        Cases.equal(true, nodes.contains(describe().partitions().get(0).leader()), "so is the leader");
        Cases.equal(false, cases.admin.describeCluster().clusterId().get().isEmpty(), "the cluster id is empty");
    }

    private void groups() throws Exception {
        cases.admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(11, "here"))).all().get();
        OffsetAndMetadata committed = cases.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
            .get(first);
        Cases.equal(new OffsetAndMetadata(11, "here"), committed, "what was committed");
        Cases.equal(true, groupNames().contains(group), "the group is listed");
        cases.admin.deleteConsumerGroups(List.of(group)).all().get();
        Cases.equal(false, groupNames().contains(group), "the group is listed after its end");
    }

    private List<String> groupNames() throws Exception {
        return cases.admin.listGroups().all().get().stream().map(GroupListing::groupId).toList();
    }

    private Set<String> names() throws Exception {
        return cases.admin.listTopics().names().get();
    }

    private TopicDescription describe() throws Exception {
        return cases.admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private ConfigResource resource() {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private ConfigEntry config(String name) throws Exception {
        Config all = cases.admin.describeConfigs(List.of(resource())).all().get().get(resource());
        return all.get(name);
    }

    private long offset(OffsetSpec which) throws Exception {
        return cases.admin.listOffsets(Map.of(first, which)).all().get().get(first).offset();
    }
}
