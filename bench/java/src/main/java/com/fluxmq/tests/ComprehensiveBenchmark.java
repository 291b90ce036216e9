// SPDX-License-Identifier: MIT
//
// ComprehensiveBenchmark [HOST:PORT] [NAME=broker] [PID] [--results DIR=results]: records of 729 B, 100,000 by one
// thread, 100,000 by four, 500,000 by four; DIR/NAME/{single_thread,multi_thread,high_volume}.json. Each has the rate
// that was published as its gate: whether this machine passes it is told and written, and is no failure of the
// program, since a gate in records a second is one of the machine too.

package com.fluxmq.tests;

import java.nio.file.Path;
import java.util.Map;

public final class ComprehensiveBenchmark {
    private ComprehensiveBenchmark() {
    }

    public static void main(String[] args) throws Exception {
        Bench bench = new Bench(ComprehensiveBenchmark.class, withPid(args));
        one(bench, "single_thread", 1, 100_000, 350_000);
        one(bench, "multi_thread", 4, 100_000, 450_000);
        one(bench, "high_volume", 4, 500_000, 900_000);
        bench.finish();
    }

    /** The third word is the broker's process. */
    private static String[] withPid(String[] args) {
        Arguments given = new Arguments(args);
        if (given.words.size() < 3) {
            return args;
        }
        String[] out = java.util.Arrays.copyOf(args, args.length + 2);
        out[args.length] = "--pid";
        out[args.length + 1] = given.words.get(2);
        return out;
    }

    private static void one(Bench bench, String name, int threads, long count, double gate) throws Exception {
        Map<String, Object> out = bench.run(new Load(name, threads, new Payload(729), bench.producer("acks", 1,
            "batch.size", 131072, "linger.ms", 1, "buffer.memory", 67108864, "compression.type", "none"))
            .records(count));
        double rate = (Double) out.get("stored_per_s");
        out.put("gate_per_s", gate);
        out.put("gate_passed", rate >= gate && out.get("whole").equals(true));
        System.out.printf("    gate %,.0f msg/s: %s%n", gate, rate >= gate ? "passed" : "missed");
        String broker = bench.given.words.size() > 1 ? bench.given.words.get(1) : "broker";
        Json.write(Path.of(bench.given.text("results", "results"), broker, name + ".json"), out);
    }
}
