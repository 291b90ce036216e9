// SPDX-License-Identifier: MIT
//
// ConsumerGroupTest [HOST:PORT]: 100 messages over 3 consumers of one group, each read once; when one consumer
// leaves, the others take over its partition where it stopped.

package com.fluxmq.tests;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

public final class ConsumerGroupTest {
    private static final int MESSAGES = 100;
    private static final int MEMBERS = 3;

    private final Cases cases;
    private final List<KafkaConsumer<String, String>> members = new ArrayList<>();

    private ConsumerGroupTest(Cases cases) throws Exception {
        this.cases = cases;
        cases.admin.createTopics(List.of(new NewTopic(cases.name, MEMBERS, (short) 1))).all().get();
        for (int i = 0; i < MEMBERS; i++) {
            members.add(cases.consumer(cases.name + "-group", "heartbeat.interval.ms", 300));
        }
    }

    public static void main(String[] args) throws Exception {
        Cases cases = new Cases(ConsumerGroupTest.class, args);
        ConsumerGroupTest all = new ConsumerGroupTest(cases);
        cases.test("three members have a partition each", all::share);
        cases.test("100 messages come to the three, each once", () -> all.spread("first", MEMBERS));
        cases.test("two members take over from one that leaves, and miss nothing", all::takeOver);
        all.members.forEach(KafkaConsumer::close);
        cases.admin.deleteTopics(List.of(cases.name)).all().get();
        cases.finish();
    }

    private void share() throws Exception {
        members.forEach(m -> m.subscribe(List.of(cases.name)));
        Cases.within(30, "a partition for each member", () -> {
            members.forEach(m -> m.poll(Duration.ofMillis(20)));
            return members.stream().allMatch(m -> m.assignment().size() == 1);
        });
    }

    private void spread(String word, int readers) throws Exception {
        Set<String> sent = new TreeSet<>();
        try (KafkaProducer<String, String> producer = cases.producer()) {
            for (int i = 0; i < MESSAGES; i++) {
                sent.add(word + " " + i);
                producer.send(new ProducerRecord<>(cases.name, i % MEMBERS, null, word + " " + i));
            }
        }
        List<String> got = new ArrayList<>();
        Set<Integer> served = new TreeSet<>();
        Cases.within(30, "all messages", () -> {
            for (int i = 0; i < members.size(); i++) {
                for (ConsumerRecord<String, String> record : members.get(i).poll(Duration.ofMillis(20))) {
                    got.add(record.value());
                    served.add(i);
                }
                members.get(i).commitSync();
            }
            return got.size() >= MESSAGES;
        });
        Cases.equal(MESSAGES, got.size(), "messages that came");
        Cases.equal(sent, new TreeSet<>(got), "which ones");
        Cases.equal(readers, served.size(), "members that got some");
    }

    private void takeOver() throws Exception {
        members.remove(0).close();
        Cases.within(30, "all partitions for the two that stay", () -> {
            members.forEach(m -> m.poll(Duration.ofMillis(20)));
            return members.stream().mapToInt(m -> m.assignment().size()).sum() == MEMBERS
                && members.stream().noneMatch(m -> m.assignment().isEmpty());
        });
        spread("second", MEMBERS - 1);
    }
}
