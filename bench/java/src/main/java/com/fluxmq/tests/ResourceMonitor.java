// SPDX-License-Identifier: MIT
//
// ResourceMonitor PID [SECONDS=10] [--every MS] [--json FILE]: CPU and memory of a process, least, mean and most.
// Memory is told apart: anonymous is what the process allocated, file is what it maps of files, which the kernel
// may take back at any time. The other programs use it for the broker's CPU (--pid).

package com.fluxmq.tests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

public final class ResourceMonitor {
    private ResourceMonitor() {
    }

    /** User and system time of all threads, in seconds; the scheduler's own count, since clock ticks are coarse. */
    static double cpuSeconds(long pid) {
        try (Stream<Path> tasks = Files.list(Path.of("/proc/" + pid + "/task"))) {
            long nanos = 0;
            for (Path task : (Iterable<Path>) tasks::iterator) {
                nanos += spent(task);
            }
            return nanos / 1e9;
        } catch (IOException gone) {
            throw new IllegalStateException("there is no process " + pid, gone);
        }
    }

    private static long spent(Path task) {
        try {
            return Long.parseLong(Files.readString(task.resolve("schedstat")).split(" ")[0]);
        } catch (IOException ended) {
            return 0; // the thread is gone; brokers keep theirs
        }
    }

    /** VmRSS, RssAnon and RssFile in MiB. */
    static Map<String, Double> memory(long pid) {
        Map<String, Double> out = new LinkedHashMap<>();
        try {
            for (String line : Files.readAllLines(Path.of("/proc/" + pid + "/status"))) {
                for (String field : List.of("VmRSS", "RssAnon", "RssFile")) {
                    if (line.startsWith(field + ":")) {
                        out.put(field, Double.parseDouble(line.split("\\s+")[1]) / 1024);
                    }
                }
            }
        } catch (IOException gone) {
            throw new IllegalStateException("there is no process " + pid, gone);
        }
        return out;
    }

    private static Map<String, Object> spread(List<Double> values) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("min", values.stream().mapToDouble(v -> v).min().orElse(0));
        out.put("avg", values.stream().mapToDouble(v -> v).average().orElse(0));
        out.put("max", values.stream().mapToDouble(v -> v).max().orElse(0));
        return out;
    }

    public static void main(String[] args) throws Exception {
        Arguments given = new Arguments(args);
        if (given.words.isEmpty()) {
            System.err.println("usage: ResourceMonitor PID [SECONDS] [--every MS] [--json FILE]");
            System.exit(2);
        }
        long pid = Long.parseLong(given.words.get(0));
        double seconds = given.words.size() > 1 ? Double.parseDouble(given.words.get(1)) : 10;
        long every = (long) given.number("every", 200);
        Map<String, List<Double>> samples = new LinkedHashMap<>();
        long begin = System.nanoTime();
        long then = begin;
        double before = cpuSeconds(pid);
        while (System.nanoTime() - begin < seconds * 1e9) {
            Thread.sleep(every);
            long now = System.nanoTime();
            double spent = cpuSeconds(pid);
            samples.computeIfAbsent("cpu_percent", k -> new ArrayList<>()).add((spent - before) / (now - then) * 1e11);
            memory(pid).forEach((field, mib) -> samples.computeIfAbsent(
                Map.of("VmRSS", "rss_mib", "RssAnon", "rss_anonymous_mib", "RssFile", "rss_file_mib").get(field),
                k -> new ArrayList<>()).add(mib));
            then = now;
            before = spent;
        }
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("pid", pid);
        out.put("seconds", (System.nanoTime() - begin) / 1e9);
        out.put("samples", samples.get("cpu_percent").size());
        samples.forEach((name, values) -> out.put(name, spread(values)));
        System.out.println(Json.text(out));
        if (given.text("json", null) != null) {
            Json.write(Path.of(given.text("json", null)), out);
        }
    }
}
