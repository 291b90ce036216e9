// SPDX-License-Identifier: MIT
//
// Times in nanoseconds, exact to 1/64: buckets that double, each cut in 64. One writer.

package com.fluxmq.tests;

final class Histogram {
    private static final int FINE = 6;
    private final long[] counts = new long[(64 - FINE) << FINE];
    private long total;
    private long largest;

    void add(long nanos) {
        long value = Math.max(nanos, 0);
        counts[index(value)]++;
        total++;
        largest = Math.max(largest, value);
    }

    void add(Histogram other) {
        for (int i = 0; i < counts.length; i++) {
            counts[i] += other.counts[i];
        }
        total += other.total;
        largest = Math.max(largest, other.largest);
    }

    long count() {
        return total;
    }

    /** Microseconds below which that share of the times was; the upper end of the bucket. */
    double micros(double share) {
        long wanted = Math.max(1, (long) Math.ceil(total * share));
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen >= wanted) {
                return Math.min(highest(i), largest) / 1000.0;
            }
        }
        return 0;
    }

    double maxMicros() {
        return largest / 1000.0;
    }

    private static int index(long value) {
        int doublings = Math.max(0, 63 - FINE - Long.numberOfLeadingZeros(value | 1));
        return (doublings << FINE) + (int) (value >>> doublings);
    }

    private static long highest(int index) {
        int doublings = Math.max(0, (index >> FINE) - 1);
        return (((long) index - ((long) doublings << FINE) + 1) << doublings) - 1;
    }
}
