// SPDX-License-Identifier: MIT
//
// Crash BOOTSTRAP FOLDER write PID: idempotent producers (acks=all and acks=1) and a consuming group;
// in mid-stream the process PID is killed. What was acknowledged is written to FOLDER.
// Crash BOOTSTRAP FOLDER check 0: after the restart all of that must be there, once and in order.

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Crash {
    private static final String TOPIC = "crash";
    private static final String GROUP = "crash-group";
    private static final String LATER = "after";
    private static final int PARTITIONS = 3;
    private static final int ENOUGH = 6000;
    private static final String[] ACKS = {"all", "all", "1"};

    private static final ConcurrentLinkedQueue<String> ACKNOWLEDGED = new ConcurrentLinkedQueue<>();
    private static final AtomicInteger COUNT = new AtomicInteger();
    private static final AtomicLong COMMITTED = new AtomicLong(-1);
    private static final CountDownLatch REACHED = new CountDownLatch(ENOUGH);
    private static volatile boolean stop;
    private static String bootstrap;

    private Crash() {
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        Path file = Paths.get(args[1], "acknowledged");
        if (args[2].equals("write")) {
            Tap.test("kill the broker under load", () -> write(file, Long.parseLong(args[3])));
        } else {
            List<String> lines = Files.readAllLines(file);
            long committed = Long.parseLong(lines.remove(0));
            Tap.test("everything acknowledged is there, once, in order", () -> check(lines));
            Tap.test("committed offsets have not gone back", () -> committed(committed));
            Tap.test("the topic takes records again", Crash::append);
        }
        Runtime.getRuntime().halt(Tap.finish());
    }

    private static Properties settings(Object... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    private static void write(Path file, long pid) throws Exception {
        try (Admin admin = Admin.create(settings())) {
            admin.createTopics(Collections.singleton(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
        }
        List<Thread> threads = new ArrayList<>();
        for (int p = 0; p < ACKS.length; p++) {
            int number = p;
            threads.add(new Thread(() -> produce(number)));
        }
        threads.add(new Thread(Crash::consume));
        for (Thread thread : threads) {
            thread.setDaemon(true);
            thread.start();
        }
        REACHED.await();
        Tap.within("a commit", () -> COMMITTED.get() > 0);
        Tap.truth(ProcessHandle.of(pid).get().destroyForcibly(), "kill " + pid);
        Tap.within("the broker is gone", () -> !ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false)
            || zombie(pid));
        stop = true;
        List<String> lines = new ArrayList<>(ACKNOWLEDGED);
        lines.add(0, "" + COMMITTED.get());
        Files.write(file, lines);
    }

    private static boolean zombie(long pid) throws Exception {
        return Files.readString(Paths.get("/proc/" + pid + "/stat")).contains(") Z ");
    }

    private static void produce(int number) {
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings("acks", ACKS[number],
            "enable.idempotence", ACKS[number].equals("all"), "linger.ms", 1, "batch.size", 2000,
            "compression.type", number == 1 ? "lz4" : "none"));
        for (int i = 0; !stop; i++) {
            String value = number + ":" + i;
            producer.send(new ProducerRecord<>(TOPIC, i % PARTITIONS, null, value), (done, error) -> {
                if (error == null) {
                    ACKNOWLEDGED.add(done.partition() + " " + done.offset() + " " + value);
                    COUNT.incrementAndGet();
                    REACHED.countDown();
                }
            });
        }
    }

    private static void consume() {
        try (KafkaConsumer<String, String> consumer = consumer("group.id", GROUP, "enable.auto.commit", false,
                "auto.offset.reset", "earliest", "max.poll.records", 200)) {
            consumer.subscribe(Collections.singleton(TOPIC));
            while (!stop) {
                consumer.poll(Duration.ofMillis(50));
                consumer.commitSync();
                TopicPartition first = new TopicPartition(TOPIC, 0);
                if (consumer.assignment().contains(first)) {
                    COMMITTED.set(consumer.position(first));
                }
            }
        }
    }

    private static KafkaConsumer<String, String> consumer(Object... pairs) {
        return new KafkaConsumer<>(settings(pairs));
    }

    private static void check(List<String> acknowledged) throws Exception {
        Map<String, String> stored = new HashMap<>();
        Map<String, Integer> last = new HashMap<>();
        Set<String> seen = new HashSet<>();
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < PARTITIONS; p++) {
            all.add(new TopicPartition(TOPIC, p));
        }
        try (KafkaConsumer<String, String> consumer = consumer("auto.offset.reset", "earliest")) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            Map<TopicPartition, Long> next = new HashMap<>();
            all.forEach(tp -> next.put(tp, 0L));
            while (!next.equals(ends)) {
                for (ConsumerRecord<String, String> got : consumer.poll(Duration.ofMillis(500))) {
                    TopicPartition tp = new TopicPartition(got.topic(), got.partition());
                    Tap.equal(next.get(tp), got.offset(), "offset in " + tp);
                    next.put(tp, got.offset() + 1);
                    stored.put(got.partition() + " " + got.offset(), got.value());
                    order(got, last, seen);
                }
            }
        }
        for (String line : acknowledged) {
            String[] parts = line.split(" ");
            Tap.equal(parts[2], stored.get(parts[0] + " " + parts[1]), "acknowledged " + line);
        }
        System.out.println("# " + acknowledged.size() + " acknowledged, " + stored.size() + " stored");
    }

    /** An idempotent producer's records come once and in order; a plain one may repeat but not overtake. */
    private static void order(ConsumerRecord<String, String> got, Map<String, Integer> last, Set<String> seen) {
        if (got.value().equals(LATER)) {
            return;
        }
        String who = got.value().split(":")[0];
        int number = Integer.parseInt(got.value().split(":")[1]);
        if (ACKS[Integer.parseInt(who)].equals("all")) {
            Tap.truth(seen.add(got.value()), "duplicate of " + got.value());
            Integer before = last.put(who + "-" + got.partition(), number);
            Tap.equal(before == null ? got.partition() : before + PARTITIONS, number, "order of producer " + who);
        }
    }

    private static void committed(long before) {
        TopicPartition first = new TopicPartition(TOPIC, 0);
        try (KafkaConsumer<String, String> consumer = consumer("group.id", GROUP)) {
            long now = consumer.committed(Collections.singleton(first)).get(first).offset();
            Tap.truth(now >= before, "committed " + now + ", acknowledged before the kill " + before);
            Tap.truth(now <= consumer.endOffsets(Arrays.asList(first)).get(first), "committed past the end");
        }
    }

    private static void append() throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("acks", "all"));
             KafkaConsumer<String, String> consumer = consumer()) {
            TopicPartition first = new TopicPartition(TOPIC, 0);
            long end = consumer.endOffsets(Collections.singleton(first)).get(first);
            Tap.equal(end, producer.send(new ProducerRecord<>(TOPIC, 0, null, LATER)).get().offset(), "next offset");
        }
    }
}
