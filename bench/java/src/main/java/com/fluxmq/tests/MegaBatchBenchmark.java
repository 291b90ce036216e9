// SPDX-License-Identifier: MIT
//
// Large compressed batches that nobody acknowledges: 8 threads with 100,000 records and 16 with 5,000,000, with
// values of 261 B and of 44 B. Published: 601,379 msg/s.

package com.fluxmq.tests;

public final class MegaBatchBenchmark {
    private MegaBatchBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(MegaBatchBenchmark.class, args);
        for (int size : new int[] {261, 44}) {
            bench.run(load(bench, 8, 100_000, size));
            bench.run(load(bench, 16, 5_000_000, size));
        }
        bench.finish();
    }

    private static Load load(Bench bench, int threads, long count, int size) {
        return new Load(threads + " threads, " + size + " B", threads, new Payload(size), bench.producer(
            "acks", 0, "batch.size", 1048576, "linger.ms", 15, "compression.type", "lz4", "buffer.memory", 268435456,
            "enable.idempotence", false, "max.in.flight.requests.per.connection", 100, "send.buffer.bytes", 2097152,
            "receive.buffer.bytes", 2097152, "max.request.size", 2097152, "request.timeout.ms", 10000,
            "delivery.timeout.ms", 20000, "max.block.ms", 10000)).records(count);
    }
}
