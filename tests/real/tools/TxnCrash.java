// SPDX-License-Identifier: MIT
//
// TxnCrash BOOTSTRAP FOLDER: transactional producers, while somebody kills the broker and starts it again, until
// there is a file FOLDER/stop. Each transaction writes to two partitions and commits an offset; afterwards it must
// be visible whole or not at all, once, as its producer was told.

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class TxnCrash {
    private static final String TOPIC = "txn-crash";
    private static final String GROUP = "txn-crash-group";
    private static final int WORKERS = 4;
    private static final int PARTITIONS = 2;
    private static final int RECORDS = 3;

    private enum Told { OPEN, UNKNOWN, COMMITTED, ABORTED }

    /** What the attempts of a worker were told, by number. */
    private static final List<List<Told>> TOLD = new ArrayList<>();
    private static String bootstrap;
    private static Path stop;

    private TxnCrash() {
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        stop = Paths.get(args[1], "stop");
        Tap.test("transactions go on through the kills", TxnCrash::write);
        Tap.test("each transaction is visible whole or not at all, once, as was told", TxnCrash::check);
        Runtime.getRuntime().halt(Tap.finish());
    }

    private static Properties settings(Object... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("reconnect.backoff.max.ms", 100);
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    private static KafkaProducer<String, String> producer(int worker) {
        return new KafkaProducer<>(settings("transactional.id", "txn-crash-" + worker, "max.block.ms", 30000,
            "request.timeout.ms", 5000, "delivery.timeout.ms", 15000));
    }

    private static void write() throws Exception {
        try (Admin admin = Admin.create(settings())) {
            admin.createTopics(Collections.singleton(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
        }
        List<Thread> threads = new ArrayList<>();
        for (int worker = 0; worker < WORKERS; worker++) {
            int number = worker;
            TOLD.add(new ArrayList<>());
            threads.add(new Thread(() -> work(number)));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        int[] sums = new int[Told.values().length];
        TOLD.forEach(list -> list.forEach(told -> sums[told.ordinal()]++));
        System.out.printf("# %d transactions committed, %d aborted, %d never ended, of %d it is not known%n",
            sums[Told.COMMITTED.ordinal()], sums[Told.ABORTED.ordinal()], sums[Told.OPEN.ordinal()],
            sums[Told.UNKNOWN.ordinal()]);
        Tap.truth(sums[Told.COMMITTED.ordinal()] > 0 && sums[Told.ABORTED.ordinal()] > 0, "some of each kind");
    }

    /** What goes wrong ends the producer: the next one, of the same name, has its transaction ended. */
    private static void work(int worker) {
        Random random = new Random(worker);
        while (!over(worker)) {
            KafkaProducer<String, String> producer = producer(worker);
            try {
                producer.initTransactions();
                while (!over(worker)) {
                    transact(producer, worker, random.nextInt(10) < 7);
                }
            } catch (KafkaException | IllegalStateException lost) {
                System.out.println("# worker " + worker + ": " + lost);
            }
            producer.close(Duration.ZERO);
        }
    }

    /** Told to stop, and there is something to judge, which takes its time on a busy machine. */
    private static boolean over(int worker) {
        return Files.exists(stop) && TOLD.get(worker).containsAll(Arrays.asList(Told.COMMITTED, Told.ABORTED));
    }

    private static void transact(KafkaProducer<String, String> producer, int worker, boolean commit) {
        List<Told> told = TOLD.get(worker);
        int attempt = told.size();
        told.add(Told.OPEN);
        producer.beginTransaction();
        for (int i = 0; i < RECORDS; i++) {
            for (int p = 0; p < PARTITIONS; p++) {
                producer.send(new ProducerRecord<>(TOPIC, p, null, worker + ":" + attempt + ":" + i));
            }
        }
        producer.flush();
        producer.sendOffsetsToTransaction(Collections.singletonMap(new TopicPartition(TOPIC, 0),
            new OffsetAndMetadata(attempt + 1)), new ConsumerGroupMetadata(GROUP + worker));
        told.set(attempt, commit ? Told.UNKNOWN : Told.ABORTED); // an abort that fails can't become a commit
        if (commit) {
            producer.commitTransaction();
            told.set(attempt, Told.COMMITTED);
        } else {
            producer.abortTransaction();
        }
    }

    private static void check() throws Exception {
        for (int worker = 0; worker < WORKERS; worker++) {
            try (KafkaProducer<String, String> producer = producer(worker)) {
                producer.initTransactions(); // ends what is open
            }
        }
        List<Map<String, Integer>> seen = new ArrayList<>();
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < PARTITIONS; p++) {
            all.add(new TopicPartition(TOPIC, p));
            seen.add(new HashMap<>());
        }
        int[] last = new int[WORKERS];
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings("isolation.level",
                "read_committed", "auto.offset.reset", "earliest", "enable.auto.commit", false))) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all); // the last stable offsets
            while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    take(seen.get(record.partition()), record, last);
                }
            }
        }
        try (Admin admin = Admin.create(settings())) {
            for (int worker = 0; worker < WORKERS; worker++) {
                OffsetAndMetadata committed = admin.listConsumerGroupOffsets(GROUP + worker)
                    .partitionsToOffsetAndMetadata().get().get(new TopicPartition(TOPIC, 0));
                Tap.equal((long) last[worker], committed == null ? 0 : committed.offset(),
                    "the offset of worker " + worker);
            }
        }
        for (int worker = 0; worker < WORKERS; worker++) {
            for (int attempt = 0; attempt < TOLD.get(worker).size(); attempt++) {
                judge(worker + ":" + attempt, TOLD.get(worker).get(attempt), seen);
            }
        }
    }

    private static void take(Map<String, Integer> seen, ConsumerRecord<String, String> record, int[] last) {
        String[] words = record.value().split(":");
        int count = seen.merge(words[0] + ":" + words[1], 1, Integer::sum);
        Tap.equal(count - 1, Integer.parseInt(words[2]), "the record of " + record.value());
        int worker = Integer.parseInt(words[0]);
        last[worker] = Math.max(last[worker], Integer.parseInt(words[1]) + 1);
    }

    private static void judge(String transaction, Told told, List<Map<String, Integer>> seen) {
        int first = seen.get(0).getOrDefault(transaction, 0);
        for (Map<String, Integer> one : seen) {
            Tap.equal(first, one.getOrDefault(transaction, 0), "records of " + transaction + " in each partition");
        }
        Tap.truth(first == 0 || first == RECORDS, transaction + " is visible in part: " + first);
        if (told == Told.COMMITTED) {
            Tap.equal(RECORDS, first, "records of the committed " + transaction);
        } else if (told != Told.UNKNOWN) {
            Tap.equal(0, first, "records of " + transaction + ", never committed (" + told + ")");
        }
    }
}
