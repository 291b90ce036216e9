// SPDX-License-Identifier: MIT
//
// LoadBenchmark [HOST:PORT] [SIZE=100] [ACKS=1] [COUNT=1000000]: not a published program but the plain case beside
// them: one thread, 64 KiB batches, linger 5, records of SIZE bytes.

package com.fluxmq.tests;

import java.util.List;

public final class LoadBenchmark {
    private LoadBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(LoadBenchmark.class, args);
        List<String> words = bench.given.words;
        int size = words.size() > 1 ? Integer.parseInt(words.get(1)) : 100;
        String acks = words.size() > 2 ? words.get(2) : "1";
        long count = words.size() > 3 ? Long.parseLong(words.get(3)) : 1_000_000;
        bench.run(new Load(size + " B, acks=" + acks, 1, new Payload(size), bench.producer("acks", acks,
            "batch.size", 65536, "linger.ms", 5)).records(count));
        bench.finish();
    }
}
