// SPDX-License-Identifier: MIT
//
// The sample records that every client program of tests/real writes: record i is the same in all
// languages, so that any of them can check what another one wrote.
//
//   key        null if i % 7 == 0, else "key-<i>"
//   value      null if i % 11 == 0 and the key is not, else "value-<i>-" and (i * 37) % 500 letters, 'a' + (i % 26)
//   headers    if i % 3 == 0: ("n", "<i>"), ("n", "again"), ("empty", "")
//   timestamp  1600000000000 + i * 1000

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

final class Sample {
    static final int COUNT = 300;
    static final long TIME = 1_600_000_000_000L;

    private Sample() {
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] key(int i) {
        return i % 7 == 0 ? null : bytes("key-" + i);
    }

    static byte[] value(int i) {
        if (i % 11 == 0 && i % 7 != 0) {
            return null;
        }
        byte[] head = bytes("value-" + i + "-");
        byte[] value = Arrays.copyOf(head, head.length + i * 37 % 500);
        Arrays.fill(value, head.length, value.length, (byte) ('a' + i % 26));
        return value;
    }

    static List<Header> headers(int i) {
        List<Header> headers = new ArrayList<>();
        if (i % 3 == 0) {
            headers.add(new RecordHeader("n", bytes("" + i)));
            headers.add(new RecordHeader("n", bytes("again")));
            headers.add(new RecordHeader("empty", new byte[0]));
        }
        return headers;
    }

    static ProducerRecord<byte[], byte[]> record(String topic, Integer partition, int i) {
        return new ProducerRecord<>(topic, partition, TIME + i * 1000L, key(i), value(i), headers(i));
    }

    /** The record is sample i and stands at the offset. */
    static void check(ConsumerRecord<byte[], byte[]> got, int i, long offset) {
        String where = got.topic() + "-" + got.partition() + "@" + got.offset() + " ";
        Tap.equal(offset, got.offset(), where + "offset");
        Tap.equal(TIME + i * 1000L, got.timestamp(), where + "timestamp");
        checkContent(got, i);
    }

    static void checkContent(ConsumerRecord<byte[], byte[]> got, int i) {
        String where = got.topic() + "-" + got.partition() + "@" + got.offset() + " ";
        Tap.equal(key(i), got.key(), where + "key");
        Tap.equal(value(i), got.value(), where + "value");
        List<Header> expected = headers(i);
        Header[] headers = got.headers().toArray();
        Tap.equal(expected.size(), headers.length, where + "header count");
        for (int h = 0; h < headers.length; h++) {
            Tap.equal(expected.get(h).key(), headers[h].key(), where + "header key");
            Tap.equal(expected.get(h).value(), headers[h].value(), where + "header value");
        }
    }
}
