// SPDX-License-Identifier: MIT
//
// What a run sends: how many records of what size by how many threads, each with a producer of its own.

package com.fluxmq.tests;

import java.util.Properties;

final class Load {
    final String name;
    final int threads;
    final Payload payload;
    final Properties settings;
    long total = Long.MAX_VALUE;
    double seconds = Double.POSITIVE_INFINITY;
    int keySize;
    long warmUp;
    boolean synchronous;

    Load(String name, int threads, Payload payload, Properties settings) {
        this.name = name;
        this.threads = threads;
        this.payload = payload;
        this.settings = settings;
    }

    Load records(long count) {
        total = count;
        return this;
    }

    Load seconds(double time) {
        seconds = time;
        return this;
    }

    Load keys(int size) {
        keySize = size;
        return this;
    }

    /** Records sent before, to a topic of their own, that are not counted. */
    Load warmUp(long count) {
        warmUp = count;
        return this;
    }

    /** Each record waits for the answer to the one before. */
    Load synchronous() {
        synchronous = true;
        return this;
    }

    /** How many records thread number i sends. */
    long share(int thread) {
        return total == Long.MAX_VALUE ? total : total / threads + (thread < total % threads ? 1 : 0);
    }

    /** The key of a thread's record, or null. */
    String key(long sequence) {
        if (keySize == 0) {
            return null;
        }
        String digits = Long.toString(sequence);
        return "key-000000000000".substring(0, Math.max(0, keySize - digits.length())) + digits;
    }

    String acks() {
        return settings.getProperty("acks");
    }
}
