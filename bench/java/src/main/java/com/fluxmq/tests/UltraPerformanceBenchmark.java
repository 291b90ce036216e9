// SPDX-License-Identifier: MIT
//
// 8 threads, 100,000 records of 53 B in 512 KiB batches that nobody acknowledges. Published: 512,000 msg/s.

package com.fluxmq.tests;

public final class UltraPerformanceBenchmark {
    private UltraPerformanceBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(UltraPerformanceBenchmark.class, args);
        bench.run(new Load("8 threads", 8, new Payload(53), bench.producer("acks", 0, "batch.size", 524288,
            "linger.ms", 10, "compression.type", "lz4", "buffer.memory", 134217728, "enable.idempotence", false,
            "max.in.flight.requests.per.connection", 50, "send.buffer.bytes", 1048576,
            "receive.buffer.bytes", 1048576)).records(100_000));
        bench.finish();
    }
}
