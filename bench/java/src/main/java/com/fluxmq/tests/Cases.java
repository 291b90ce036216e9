// SPDX-License-Identifier: MIT
//
// What the three programs that check rather than measure share: cases that are printed as TAP, and clients.

package com.fluxmq.tests;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Cases implements AutoCloseable {
    interface Body {
        void run() throws Exception;
    }

    final String address;
    final Admin admin;
    final String name;
    private int count;
    private int failed;

    Cases(Class<?> program, String[] args) {
        Arguments given = new Arguments(args);
        address = given.words.isEmpty() ? "localhost:9092" : given.words.get(0);
        name = program.getSimpleName().toLowerCase() + "-" + System.currentTimeMillis();
        admin = Admin.create(settings());
        System.out.println("# " + program.getSimpleName() + " against " + address);
    }

    Properties settings(Object... pairs) {
        Properties out = new Properties();
        out.put("bootstrap.servers", address);
        for (int i = 0; i < pairs.length; i += 2) {
            out.put(pairs[i], String.valueOf(pairs[i + 1]));
        }
        return out;
    }

    KafkaProducer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(String group, Object... pairs) {
        Properties settings = settings("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false);
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    /** Polls until so many have come, and then once more, to see that there are no others. */
    static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int wanted) {
        List<ConsumerRecord<String, String>> out = new ArrayList<>();
        long end = System.nanoTime() + 20_000_000_000L;
        while (out.size() < wanted && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(out::add);
        }
        consumer.poll(Duration.ofMillis(200)).forEach(out::add);
        equal(wanted, out.size(), "records that came");
        return out;
    }

    void test(String what, Body body) {
        count++;
        try {
            body.run();
            System.out.println("ok " + count + " - " + what);
        } catch (Exception | AssertionError error) {
            failed++;
            System.out.println("not ok " + count + " - " + what);
            System.out.println("# " + String.valueOf(error).replace("\n", "\n# "));
        }
    }

    static void equal(Object expected, Object got, String what) {
        if (!Objects.equals(expected, got)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + got);
        }
    }

    /** Waits for what the protocol shows only in time. */
    static void within(int seconds, String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + seconds + " s: " + what);
            }
            Thread.sleep(20);
        }
    }

    void finish() {
        System.out.println("1.." + count);
        close();
        System.exit(failed == 0 ? 0 : 1);
    }

    @Override
    public void close() {
        admin.close();
    }
}
