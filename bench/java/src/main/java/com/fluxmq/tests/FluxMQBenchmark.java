// SPDX-License-Identifier: MIT
//
// One thread, 50,000 records of 783 B, acks=1, after 5,000 to warm up. Published: 50,000 msg/s.

package com.fluxmq.tests;

public final class FluxMQBenchmark {
    private FluxMQBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(FluxMQBenchmark.class, args);
        bench.run(new Load("1 thread", 1, new Payload(783), bench.producer("acks", 1, "batch.size", 131072,
            "linger.ms", 1, "compression.type", "none", "buffer.memory", 67108864)).warmUp(5_000).records(50_000));
        bench.finish();
    }
}
