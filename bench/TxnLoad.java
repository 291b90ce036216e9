// SPDX-License-Identifier: MIT
//
// Transactions of one producer, one after the other; told by txn.py what to do, a line each:
//   run TOPIC TRANSACTIONS RECORDS    -> seconds
//   count TOPIC                       -> records that a read_committed consumer finds

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class TxnLoad {
    private static final byte[] VALUE = new byte[100];

    private TxnLoad() {
    }

    private static Properties at(String address, String... pairs) {
        Properties all = new Properties();
        all.put("bootstrap.servers", address);
        for (int i = 0; i < pairs.length; i += 2) {
            all.put(pairs[i], pairs[i + 1]);
        }
        return all;
    }

    private static double run(KafkaProducer<byte[], byte[]> producer, String topic, int transactions, int records) {
        long begin = System.nanoTime();
        for (int i = 0; i < transactions; i++) {
            producer.beginTransaction();
            for (int j = 0; j < records; j++) {
                producer.send(new ProducerRecord<>(topic, 0, null, VALUE));
            }
            // Without it the client 4.4.0 sometimes ends a transaction before it has sent its records, which it
            // takes for fatal: seen with both brokers.
            producer.flush();
            producer.commitTransaction();
        }
        return (System.nanoTime() - begin) / 1e9;
    }

    private static long count(String address, String topic) {
        Properties how = at(address, "isolation.level", "read_committed", "auto.offset.reset", "earliest");
        TopicPartition place = new TopicPartition(topic, 0);
        long seen = 0;
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(how, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            // The last marker is written a moment after the commit is answered.
            for (int idle = 0; idle < 4; ) {
                int got = consumer.poll(Duration.ofMillis(250)).count();
                idle = got > 0 ? 0 : idle + 1;
                seen += got;
            }
        }
        return seen;
    }

    public static void main(String[] args) throws Exception {
        String address = args[0];
        Properties how = at(address, "transactional.id", "bench", "linger.ms", "0");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(how, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ");
                if (words[0].equals("run")) {
                    System.out.println(run(producer, words[1], Integer.parseInt(words[2]),
                        Integer.parseInt(words[3])));
                } else {
                    System.out.println(count(address, words[1]));
                }
            }
        }
    }
}
