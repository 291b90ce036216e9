// SPDX-License-Identifier: MIT
//
// One thread with a producer of its own. It counts what it sent, what was acknowledged (with acks=0: handed to
// the socket) and what was refused, and times each record from send() to its callback.

package com.fluxmq.tests;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

final class Sender extends Thread implements AutoCloseable {
    final int number;
    final Histogram times = new Histogram();
    final AtomicLong acknowledged = new AtomicLong();
    final AtomicLong refused = new AtomicLong();
    final AtomicReference<Exception> problem = new AtomicReference<>();
    volatile long sent;

    private final Load load;
    private final String topic;
    private final CountDownLatch go;
    private final KafkaProducer<String, String> producer;

    Sender(Load load, int number, String topic, CountDownLatch go) {
        this.load = load;
        this.number = number;
        this.topic = topic;
        this.go = go;
        this.producer = new KafkaProducer<>(load.settings);
        this.producer.partitionsFor(topic); // the topic is made, and its metadata is there, before the clock runs
    }

    @Override
    public void run() {
        try {
            go.await();
            send(load.share(number), System.nanoTime() + (long) (Math.min(load.seconds, 1e6) * 1e9));
            producer.flush();
        } catch (InterruptedException | ExecutionException | RuntimeException error) {
            problem.compareAndSet(null, error);
        }
    }

    private void send(long count, long end) throws InterruptedException, ExecutionException {
        long begin = System.nanoTime();
        for (long i = 0; i < count && begin < end; i++) {
            String value = load.payload.value(number, i);
            begin = System.nanoTime();
            long started = begin;
            Future<RecordMetadata> reply = producer.send(new ProducerRecord<>(topic, load.key(i), value),
                (where, error) -> done(started, error));
            sent = i + 1;
            if (load.synchronous) {
                reply.get();
                times.add(System.nanoTime() - started);
            }
        }
    }

    private void done(long started, Exception error) {
        if (error != null) {
            refused.incrementAndGet();
            problem.compareAndSet(null, error);
            return;
        }
        acknowledged.incrementAndGet();
        if (!load.synchronous) {
            times.add(System.nanoTime() - started);
        }
    }

    /** Bytes of the batches for each byte of records; 1 without compression. */
    double compression() {
        return producer.metrics().entrySet().stream()
            .filter(e -> e.getKey().name().equals("compression-rate-avg") && e.getKey().group().equals("producer-metrics"))
            .mapToDouble(e -> ((Number) e.getValue().metricValue()).doubleValue()).findFirst().orElse(Double.NaN);
    }

    @Override
    public void close() {
        producer.close();
    }
}
