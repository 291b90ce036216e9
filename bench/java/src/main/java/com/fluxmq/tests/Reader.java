// SPDX-License-Identifier: MIT
//
// Reads a topic back from its beginning to its end and compares: every record once, its bytes as they were
// made, offsets without a gap. What it did not see does not count.

package com.fluxmq.tests;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

final class Reader {
    private static final long PATIENCE_NANOS = 15_000_000_000L;

    private final Load load;
    private final BitSet[] seen;
    private final CRC32C crc = new CRC32C();
    private final Map<TopicPartition, Long> next = new HashMap<>();
    long read;
    long gaps;
    long doubled;
    long changed;
    long outOfOrder;
    long checksum;
    double seconds;
    private final long[] last;

    Reader(Load load) {
        this.load = load;
        this.seen = new BitSet[load.threads];
        for (int i = 0; i < load.threads; i++) {
            seen[i] = new BitSet();
        }
        this.last = new long[load.threads * 1024];
    }

    static Properties settings(String address) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("allow.auto.create.topics", "false");
        settings.put("max.poll.records", "10000");
        settings.put("fetch.max.wait.ms", "100");
        return settings;
    }

    void run(String address, String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(address),
                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(p -> all.add(new TopicPartition(topic, p.partition())));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long end = consumer.endOffsets(all).values().stream().mapToLong(Long::longValue).sum();
            long begin = System.nanoTime();
            long progress = begin;
            while (read < end && System.nanoTime() - progress < PATIENCE_NANOS) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                for (TopicPartition partition : records.partitions()) {
                    take(partition, records.records(partition));
                    progress = System.nanoTime();
                }
            }
            seconds = (System.nanoTime() - begin) / 1e9;
        }
    }

    private void take(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        long expected = next.getOrDefault(partition, 0L);
        for (ConsumerRecord<byte[], byte[]> record : records) {
            gaps += record.offset() == expected ? 0 : 1;
            expected = record.offset() + 1;
            look(partition.partition(), record.key(), record.value());
        }
        next.put(partition, expected);
        read += records.size();
    }

    private void look(int partition, byte[] key, byte[] value) {
        int thread = load.payload.thread(value);
        long sequence = load.payload.sequence(value);
        if (thread < 0 || thread >= load.threads || sequence < 0 || !load.payload.matches(value, sequence)
                || !Arrays.equals(key, load.keySize == 0 ? null : load.key(sequence).getBytes(US_ASCII))) {
            changed++;
            return;
        }
        doubled += seen[thread].get((int) sequence) ? 1 : 0;
        seen[thread].set((int) sequence);
        int place = thread * 1024 + partition % 1024;
        outOfOrder += sequence < last[place] ? 1 : 0;
        last[place] = sequence;
        checksum += sum(value);
    }

    private long sum(byte[] value) {
        crc.reset();
        crc.update(value, 0, value.length);
        return crc.getValue();
    }

    /** Different records that came back unchanged. */
    long counted() {
        long count = 0;
        for (BitSet one : seen) {
            count += one.cardinality();
        }
        return count;
    }

    /** The checksum of all that the senders made. */
    long expected(long[] sent) {
        long out = 0;
        for (int thread = 0; thread < sent.length; thread++) {
            for (long i = 0; i < sent[thread]; i++) {
                out += sum(load.payload.bytes(thread, i));
            }
        }
        return out;
    }

    Map<String, Object> report() {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("read_back", counted());
        out.put("gaps", gaps);
        out.put("doubled", doubled);
        out.put("changed", changed);
        out.put("out_of_order", outOfOrder);
        out.put("checksum", Long.toHexString(checksum));
        return out;
    }
}
