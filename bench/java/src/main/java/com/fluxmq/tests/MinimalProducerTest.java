// SPDX-License-Identifier: MIT
//
// 1000 records of 10 to 14 B, each sent when the one before was answered. Published: 10,000 a second, which is
// 100 us for a round trip.

package com.fluxmq.tests;

public final class MinimalProducerTest {
    private MinimalProducerTest() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(MinimalProducerTest.class, args);
        bench.run(new Load("one by one", 1, new Payload(10, 14), bench.producer("acks", 1, "batch.size", 1024,
            "linger.ms", 0, "max.in.flight.requests.per.connection", 1)).synchronous().records(1_000));
        bench.finish();
    }
}
