// SPDX-License-Identifier: MIT
//
// TransactionTest [HOST:PORT]: commit, abort and consume-transform-produce, seen by readers of committed records.

package com.fluxmq.tests;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

public final class TransactionTest {
    private static final int COUNT = 50;

    private final Cases cases;
    private final String input;
    private final String output;

    private TransactionTest(Cases cases) throws Exception {
        this.cases = cases;
        this.input = cases.name + "-in";
        this.output = cases.name + "-out";
        cases.admin.createTopics(List.of(new NewTopic(input, 1, (short) 1), new NewTopic(output, 1, (short) 1)))
            .all().get();
    }

    public static void main(String[] args) throws Exception {
        Cases cases = new Cases(TransactionTest.class, args);
        TransactionTest all = new TransactionTest(cases);
        cases.test("what is committed is read", all::commit);
        cases.test("what is aborted is not read by readers of committed records, and is by others", all::abort);
        cases.test("consume, transform, produce: records and offsets go together", all::transform);
        cases.admin.deleteTopics(List.of(all.input, all.output)).all().get();
        cases.finish();
    }

    private KafkaProducer<String, String> open(String id) {
        KafkaProducer<String, String> producer = cases.producer("transactional.id", cases.name + id);
        producer.initTransactions();
        return producer;
    }

    private static void send(KafkaProducer<String, String> producer, String topic, String what) {
        for (int i = 0; i < COUNT; i++) {
            producer.send(new ProducerRecord<>(topic, 0, "key " + i, what + " " + i));
        }
    }

    private List<ConsumerRecord<String, String>> read(String topic, String isolation, int wanted) {
        try (KafkaConsumer<String, String> consumer = cases.consumer(cases.name, "isolation.level", isolation)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            return Cases.take(consumer, wanted);
        }
    }

    private void commit() {
        try (KafkaProducer<String, String> producer = open("-commit")) {
            producer.beginTransaction();
            send(producer, input, "kept");
            producer.flush();
            Cases.equal(0, read(input, "read_committed", 0).size(), "records before the commit");
            producer.commitTransaction();
        }
        List<ConsumerRecord<String, String>> got = read(input, "read_committed", COUNT);
        for (int i = 0; i < COUNT; i++) {
            Cases.equal("kept " + i, got.get(i).value(), "value");
        }
    }

    private void abort() {
        try (KafkaProducer<String, String> producer = open("-abort")) {
            producer.beginTransaction();
            send(producer, input, "thrown away");
            producer.flush();
            producer.abortTransaction();
        }
        for (ConsumerRecord<String, String> record : read(input, "read_committed", COUNT)) {
            Cases.equal(true, record.value().startsWith("kept"), record.value() + " is of a committed transaction");
        }
        read(input, "read_uncommitted", 2 * COUNT);
    }

    private void transform() throws Exception {
        String group = cases.name + "-group";
        TopicPartition from = new TopicPartition(input, 0);
        try (KafkaProducer<String, String> producer = open("-transform");
                KafkaConsumer<String, String> consumer = cases.consumer(group, "isolation.level", "read_committed")) {
            consumer.subscribe(List.of(input));
            List<ConsumerRecord<String, String>> records = Cases.take(consumer, COUNT);
            producer.beginTransaction(); // first in vain: neither records nor offsets may stay
            pass(producer, consumer, from, records);
            producer.abortTransaction();
            Cases.equal(null, consumer.committed(java.util.Set.of(from)).get(from), "offset after the abort");
            producer.beginTransaction();
            pass(producer, consumer, from, records);
            producer.commitTransaction();
            long next = records.get(COUNT - 1).offset() + 1;
            Cases.equal(next, consumer.committed(java.util.Set.of(from)).get(from).offset(), "offset after the commit");
        }
        List<ConsumerRecord<String, String>> got = read(output, "read_committed", COUNT);
        for (int i = 0; i < COUNT; i++) {
            Cases.equal("KEPT " + i, got.get(i).value(), "transformed value");
        }
    }

    private void pass(KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer,
            TopicPartition from, List<ConsumerRecord<String, String>> records) {
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(output, 0, record.key(), record.value().toUpperCase()));
        }
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        offsets.put(from, new OffsetAndMetadata(records.get(records.size() - 1).offset() + 1));
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
    }
}
