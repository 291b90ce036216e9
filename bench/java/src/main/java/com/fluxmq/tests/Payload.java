// SPDX-License-Identifier: MIT
//
// What is sent: values of a given size that say who sent them (the number of the thread) and which of the
// thread's records they are, in text that compresses about as well as JSON does. A value can be made again
// from those two numbers, so the reader compares every byte.

package com.fluxmq.tests;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

final class Payload {
    /** Two digits of the thread, eight of the record. */
    private static final int HEAD = 10;
    private static final String WORDS = "\"name\":\"sensor\",\"site\":\"north-east\",\"unit\":\"celsius\",\"ok\":true,";

    private final int smallest;
    private final int sizes;
    private final int at;
    private final byte[] template;

    /** Values of smallest..largest bytes, in turn. */
    Payload(int smallest, int largest) {
        this.smallest = smallest;
        this.sizes = largest - smallest + 1;
        String begin = smallest >= 40 ? "{\"id\":\"" : "";
        String end = smallest >= 40 ? "\"}" : "";
        StringBuilder text = new StringBuilder(begin).append("0".repeat(HEAD));
        if (smallest >= 40) {
            text.append("\",");
        }
        this.at = begin.length();
        // Numbers that look like measurements, the same in each run, keep lz4 from folding it all to nothing.
        long state = 88172645463325252L;
        while (text.length() < largest) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            text.append(WORDS, 0, Math.min(WORDS.length(), largest)).append(Long.toString(state & Long.MAX_VALUE, 36));
        }
        text.setLength(largest - end.length());
        this.template = text.append(end).toString().getBytes(StandardCharsets.ISO_8859_1);
        if (smallest < HEAD || (sizes > 1 && smallest >= 40)) {
            throw new IllegalArgumentException("no room for the record's number in " + smallest + " bytes");
        }
    }

    Payload(int size) {
        this(size, size);
    }

    int size(long sequence) {
        return smallest + (int) (sequence % sizes);
    }

    String sizes() {
        return sizes == 1 ? smallest + " B" : smallest + "-" + template.length + " B";
    }

    byte[] bytes(int thread, long sequence) {
        byte[] out = Arrays.copyOf(template, size(sequence));
        digits(out, at, 2, thread);
        digits(out, at + 2, HEAD - 2, sequence);
        return out;
    }

    String value(int thread, long sequence) {
        return new String(bytes(thread, sequence), StandardCharsets.ISO_8859_1);
    }

    int thread(byte[] value) {
        return (int) number(value, at, 2);
    }

    long sequence(byte[] value) {
        return number(value, at + 2, HEAD - 2);
    }

    /** The value is the one that thread and sequence make, byte for byte. */
    boolean matches(byte[] value, long sequence) {
        int after = at + HEAD;
        return value.length == size(sequence) && Arrays.equals(value, 0, at, template, 0, at)
            && Arrays.equals(value, after, value.length, template, after, value.length);
    }

    private static void digits(byte[] out, int at, int count, long number) {
        for (int i = at + count - 1; i >= at; i--) {
            out[i] = (byte) ('0' + number % 10);
            number /= 10;
        }
    }

    private static long number(byte[] in, int at, int count) {
        if (in == null || in.length < at + count) {
            return -1;
        }
        long number = 0;
        for (int i = at; i < at + count; i++) {
            if (in[i] < '0' || in[i] > '9') {
                return -1;
            }
            number = number * 10 + in[i] - '0';
        }
        return number;
    }
}
