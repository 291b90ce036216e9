// SPDX-License-Identifier: MIT
//
// Transactions: commit, abort, fencing, time-outs, offsets in transactions, read_committed beside all of it.

import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

final class TxnCases {
    private static final int ROUNDS = 30;

    private TxnCases() {
    }

    static void run() {
        Tap.test("a committed transaction is read, whole", TxnCases::commit);
        Tap.test("an aborted transaction is not read by read_committed", TxnCases::abort);
        Tap.test("an open transaction holds read_committed back", TxnCases::open);
        Tap.test("a transaction over several topics", TxnCases::several);
        Tap.test("transaction: a second producer of the same id fences the first", TxnCases::fence);
        Tap.test("a transaction that takes too long is aborted", TxnCases::timeout);
        Tap.test("offsets are committed with the transaction, or not", TxnCases::offsets);
        Tap.test("transaction: consume, transform, produce", TxnCases::transform);
        Tap.test("transactions side by side, and a read_committed reader", TxnCases::concurrent);
        Tap.test("many small transactions in a row", TxnCases::many);
    }

    private static KafkaProducer<byte[], byte[]> begin(String id, Object... more) {
        KafkaProducer<byte[], byte[]> producer = transactional(id, more);
        producer.initTransactions();
        return producer;
    }

    private static KafkaProducer<byte[], byte[]> transactional(String id, Object... more) {
        Object[] all = new Object[more.length + 2];
        all[0] = "transactional.id";
        all[1] = Client.prefix + "-" + id;
        System.arraycopy(more, 0, all, 2, more.length);
        return Client.producer(all);
    }

    private static List<ConsumerRecord<byte[], byte[]>> committed(String topic, int count) {
        return Client.readAll(topic, count, "isolation.level", "read_committed");
    }

    private static void commit() throws Exception {
        String topic = Client.topic("txn-commit", 2);
        try (KafkaProducer<byte[], byte[]> producer = begin("commit")) {
            for (int round = 0; round < 3; round++) {
                producer.beginTransaction();
                Client.send(producer, topic, 0, 0, 50);
                Client.send(producer, topic, 1, 0, 20);
                producer.commitTransaction();
            }
        }
        committed(topic, 210);
    }

    private static void abort() throws Exception {
        String topic = Client.topic("txn-abort", 1);
        try (KafkaProducer<byte[], byte[]> producer = begin("abort")) {
            for (int round = 0; round < 4; round++) {
                producer.beginTransaction();
                Client.send(producer, topic, 0, round * 10, round * 10 + 10);
                if (round % 2 == 0) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> got = committed(topic, 20);
        Sample.check(got.get(0), 10, 11);
        Sample.check(got.get(10), 30, 33);
        Client.readAll(topic, 40);
    }

    private static long end(String topic, IsolationLevel level) throws Exception {
        TopicPartition at = Client.at(topic, 0);
        return Client.admin.listOffsets(Collections.singletonMap(at, OffsetSpec.latest()),
            new ListOffsetsOptions(level)).partitionResult(at).get().offset();
    }

    private static void open() throws Exception {
        String topic = Client.topic("txn-open", 1);
        try (KafkaProducer<byte[], byte[]> producer = begin("open");
                KafkaProducer<byte[], byte[]> plain = Client.producer()) {
            plain.send(Client.plain(topic, "before")).get();
            producer.beginTransaction();
            producer.send(Client.plain(topic, "inside")).get();
            plain.send(Client.plain(topic, "after")).get();
            Tap.equal(1L, end(topic, IsolationLevel.READ_COMMITTED), "the last stable offset");
            Tap.equal(3L, end(topic, IsolationLevel.READ_UNCOMMITTED), "the end");
            committed(topic, 1);
            producer.commitTransaction();
            Tap.within("the marker is written", () -> end(topic, IsolationLevel.READ_COMMITTED) == 4);
            committed(topic, 3);
        }
    }

    private static void several() throws Exception {
        String one = Client.topic("txn-several-1", 3);
        String two = Client.topic("txn-several-2", 2);
        try (KafkaProducer<byte[], byte[]> producer = begin("several")) {
            for (boolean commit : new boolean[] {true, false, true}) {
                producer.beginTransaction();
                for (int p = 0; p < 3; p++) {
                    Client.send(producer, one, p, 0, 5);
                }
                Client.send(producer, two, 1, 0, 7);
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        committed(one, 30);
        committed(two, 14);
    }

    private static boolean fenced(Throwable problem) {
        for (Throwable t = problem; t != null; t = t.getCause()) {
            if (t instanceof ProducerFencedException || t instanceof InvalidProducerEpochException) {
                return true;
            }
        }
        return false;
    }

    private static void fence() throws Exception {
        String topic = Client.topic("txn-fence", 1);
        KafkaProducer<byte[], byte[]> first = begin("fence");
        first.beginTransaction();
        first.send(Client.plain(topic, "of the first")).get();
        try (KafkaProducer<byte[], byte[]> second = begin("fence")) {
            second.beginTransaction();
            second.send(Client.plain(topic, "of the second")).get();
            boolean thrown = false;
            try {
                first.send(Client.plain(topic, "too late")).get();
                first.commitTransaction();
            } catch (KafkaException | ExecutionException problem) {
                thrown = fenced(problem);
            }
            Tap.equal(true, thrown, "the first is fenced");
            second.commitTransaction();
        } finally {
            first.close(Duration.ofSeconds(1));
        }
        Tap.equal("of the second", new String(committed(topic, 1).get(0).value()), "what is read");
    }

    private static void timeout() throws Exception {
        String topic = Client.topic("txn-timeout", 1);
        KafkaProducer<byte[], byte[]> slow = begin("timeout", "transaction.timeout.ms", 6000); // it is to be sent before
        slow.beginTransaction();
        slow.send(Client.plain(topic, "never")).get();
        // Kafka looks every ten seconds.
        Tap.within("the transaction is aborted", () -> end(topic, IsolationLevel.READ_COMMITTED) == 2);
        boolean thrown = false;
        try {
            slow.commitTransaction();
        } catch (KafkaException problem) {
            thrown = true;
        }
        Tap.equal(true, thrown, "the commit fails");
        slow.close(Duration.ofSeconds(1));
        try (KafkaProducer<byte[], byte[]> next = begin("timeout")) {
            next.beginTransaction();
            next.send(Client.plain(topic, "at last")).get();
            next.commitTransaction();
        }
        Tap.equal("at last", new String(committed(topic, 1).get(0).value()), "what is read");
    }

    private static long offset(String group, TopicPartition at) throws Exception {
        OffsetAndMetadata found = Client.admin.listConsumerGroupOffsets(group)
            .partitionsToOffsetAndMetadata().get().get(at);
        return found == null ? -1 : found.offset();
    }

    private static void offsets() throws Exception {
        String topic = Client.filled("txn-offsets", 1, 10);
        String group = Client.prefix + "-txn-offsets";
        TopicPartition at = Client.at(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = begin("offsets");
                KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", group)) {
            consumer.assign(Collections.singleton(at));
            for (int round = 1; round <= 4; round++) {
                boolean commit = round % 2 == 1;
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(Collections.singletonMap(at, new OffsetAndMetadata(round)),
                    consumer.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                long want = commit ? round : round - 1;
                Tap.within("offset " + want, () -> offset(group, at) == want);
            }
        }
    }

    private static void transform() throws Exception {
        String from = Client.filled("txn-from", 2, 100);
        String to = Client.topic("txn-to", 2);
        String group = Client.prefix + "-txn-transform";
        int done = 0;
        int round = 0;
        while (done < 200) {
            // Every third worker dies in the middle of its transaction, the next one takes over.
            round++;
            try (KafkaProducer<byte[], byte[]> producer = begin("transform");
                    KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", group,
                        "isolation.level", "read_committed", "max.poll.records", 17)) {
                consumer.subscribe(Collections.singleton(from));
                for (int batch = 0; batch < 3 && done < 200;) {
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    int count = 0;
                    producer.beginTransaction();
                    for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                        String value = r.partition() + "-" + r.offset();
                        producer.send(Client.plain(to, value));
                        offsets.put(Client.at(from, r.partition()), new OffsetAndMetadata(r.offset() + 1));
                        count++;
                    }
                    if (count == 0) {
                        producer.abortTransaction();
                        continue;
                    }
                    producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                    batch++;
                    if (round % 3 == 0 && batch == 2) {
                        producer.flush();
                        break;
                    }
                    producer.commitTransaction();
                    done += count;
                }
            }
        }
        Set<String> seen = new HashSet<>();
        for (ConsumerRecord<byte[], byte[]> r : committed(to, 200)) {
            Tap.equal(true, seen.add(new String(r.value())), "record " + new String(r.value()) + " once");
        }
    }

    /** A reader sees each committed transaction, whole and once, in order, and nothing else. */
    private static void concurrent() throws Exception {
        String topic = Client.topic("txn-concurrent", 1);
        AtomicBoolean failed = new AtomicBoolean();
        Thread[] writers = new Thread[3];
        for (int w = 0; w < writers.length; w++) {
            int me = w;
            writers[w] = new Thread(() -> {
                try (KafkaProducer<byte[], byte[]> producer = begin("concurrent-" + me)) {
                    for (int n = 0; n < ROUNDS; n++) {
                        producer.beginTransaction();
                        for (int i = 0; i < 4; i++) {
                            producer.send(Client.plain(topic, me + " " + n + " " + i));
                        }
                        if (n % 3 == 1) {
                            producer.flush();
                            producer.abortTransaction();
                        } else {
                            producer.commitTransaction();
                        }
                    }
                } catch (RuntimeException problem) {
                    problem.printStackTrace();
                    failed.set(true);
                }
            });
            writers[w].start();
        }
        int[] next = new int[writers.length];
        for (ConsumerRecord<byte[], byte[]> r : committed(topic, writers.length * ROUNDS / 3 * 2 * 4)) {
            String[] parts = new String(r.value()).split(" ");
            int w = Integer.parseInt(parts[0]);
            int k = next[w]++;
            int n = k / 4 / 2 * 3 + k / 4 % 2 * 2;
            Tap.equal(n + " " + k % 4, parts[1] + " " + parts[2], "record " + k + " of writer " + w);
        }
        for (Thread writer : writers) {
            writer.join();
        }
        Tap.equal(false, failed.get(), "a writer failed");
    }

    private static void many() throws Exception {
        String topic = Client.topic("txn-many", 1);
        try (KafkaProducer<byte[], byte[]> producer = begin("many", "linger.ms", 0)) {
            for (int n = 0; n < 200; n++) {
                producer.beginTransaction();
                producer.send(Client.plain(topic, "" + n));
                producer.commitTransaction();
            }
        }
        List<ConsumerRecord<byte[], byte[]>> got = committed(topic, 200);
        for (int n = 0; n < 200; n++) {
            Tap.equal("" + n, new String(got.get(n).value()), "record " + n);
        }
    }
}
