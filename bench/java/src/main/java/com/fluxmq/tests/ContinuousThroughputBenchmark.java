// SPDX-License-Identifier: MIT
//
// ContinuousThroughputBenchmark [HOST:PORT] [SECONDS=10]: one thread sends records of 1024 B for that time, acks=1,
// 128 KiB batches, linger 0. run_parallel_producers.sh starts several at once.

package com.fluxmq.tests;

public final class ContinuousThroughputBenchmark {
    private ContinuousThroughputBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(ContinuousThroughputBenchmark.class, args);
        double seconds = bench.given.words.size() > 1 ? Double.parseDouble(bench.given.words.get(1)) : 10;
        bench.run(new Load("1 thread", 1, new Payload(1024), bench.producer("acks", 1, "batch.size", 131072,
            "linger.ms", 0)).seconds(seconds));
        bench.finish();
    }
}
