// SPDX-License-Identifier: MIT
// Writes tests/data/message-sets.jsonl: message sets and what Kafka's own classes make of them. Run
// by golden.sh, once against each version of the client library; only what both have is used.
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Time;

public class Golden {
    static final long T = 1700000000000L;
    static final int PLAIN = 0, TXN = 1, APPEND_TIME = 2;
    static final Header[] NONE = {};
    static String by;

    static byte[] b(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

    static String hex(ByteBuffer buffer) {
        StringBuilder s = new StringBuilder();
        for (int i = buffer.position(); i < buffer.limit(); i++) s.append(String.format("%02x", buffer.get(i)));
        return s.toString();
    }

    static String value(ByteBuffer buffer) { return buffer == null ? "null" : "\"" + hex(buffer) + "\""; }

    // MemoryRecords.builder takes a CompressionType, and a Compression since 3.8.
    static Object compression(String name) throws Exception {
        CompressionType type = CompressionType.forName(name);
        try {
            Class<?> c = Class.forName("org.apache.kafka.common.compress.Compression");
            Object builder = c.getMethod("of", CompressionType.class).invoke(null, type);
            Method build = Class.forName("org.apache.kafka.common.compress.Compression$Builder").getMethod("build");
            return build.invoke(builder);
        } catch (ClassNotFoundException e) {
            return type;
        }
    }

    static MemoryRecordsBuilder builder(int magic, String codec, int kind, long base) throws Exception {
        TimestampType type = magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE
            : kind == APPEND_TIME ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        long appendTime = kind == APPEND_TIME ? T + 12345 : -1L;
        for (Method m : MemoryRecords.class.getMethods()) {
            Class<?>[] p = m.getParameterTypes();
            if (!m.getName().equals("builder") || !p[0].equals(ByteBuffer.class)) continue;
            Object c = compression(codec);
            if (p.length < 3 || !p[2].isInstance(c)) continue;
            if (kind == TXN && p.length == 11)
                return (MemoryRecordsBuilder) m.invoke(null, ByteBuffer.allocate(1 << 16), (byte) magic, c, type, base,
                    appendTime, 4711L, (short) 3, 17, true, 5);
            if (kind != TXN && p.length == 6)
                return (MemoryRecordsBuilder) m.invoke(null, ByteBuffer.allocate(1 << 16), (byte) magic, c, type, base,
                    appendTime);
        }
        throw new IllegalStateException("no builder for " + codec);
    }

    static void append(MemoryRecordsBuilder m, int magic, long offset, long time, String key, String value,
                       Header... headers) {
        if (magic < 2) m.appendWithOffset(offset, magic == 0 ? -1 : time, b(key), b(value));
        else m.appendWithOffset(offset, time, b(key) == null ? null : ByteBuffer.wrap(b(key)),
            b(value) == null ? null : ByteBuffer.wrap(b(value)), headers);
    }

    static final String[] SHAPES = {"one", "nulls", "gaps", "times", "many"};

    static ByteBuffer batch(int magic, String codec, int kind, long base, String shape) throws Exception {
        MemoryRecordsBuilder m = builder(magic, codec, kind, base);
        Header[] some = {new RecordHeader("h", b("x")), new RecordHeader("h", (byte[]) null), new RecordHeader("", b(""))};
        if (shape.equals("one")) append(m, magic, base, T, "key", "value", some);
        if (shape.equals("nulls")) {
            append(m, magic, base, T, null, "null key", NONE);
            append(m, magic, base + 1, T + 1, "null value", null, some);
            append(m, magic, base + 2, T + 2, null, null, NONE);
            append(m, magic, base + 3, T + 3, "", "", NONE);
            append(m, magic, base + 4, T + 4, "grüße-日本語-😀", "данные", NONE);
        }
        if (shape.equals("gaps")) {
            append(m, magic, base, T, "a", "1", NONE);
            append(m, magic, base + 2, T + 5, "b", "2", some);
            append(m, magic, base + 13, T + 1, "c", "3", NONE);
        }
        if (shape.equals("times")) {
            append(m, magic, base, T, "a", "1", NONE);
            append(m, magic, base + 1, -1L, "b", "2", NONE);
            append(m, magic, base + 2, 0L, "c", "3", NONE);
            append(m, magic, base + 3, 4102444800000L, "d", "4", NONE);
            append(m, magic, base + 4, T - 100000, "e", "5", NONE);
        }
        for (int i = 0; shape.equals("many") && i < 24; i++)
            append(m, magic, base + i, T + i * 1000L, i % 5 == 0 ? null : "key-" + i % 7,
                "value-" + i + "-" + "abcdefgh".repeat(i % 12), i % 9 == 0 ? some : NONE);
        return m.build().buffer().duplicate();
    }

    static ByteBuffer control(long base) {
        ByteBuffer to = ByteBuffer.allocate(200);
        MemoryRecords.writeEndTransactionalMarker(to, base, T, 5, 4711L, (short) 3,
            new org.apache.kafka.common.record.EndTransactionMarker(
                org.apache.kafka.common.record.ControlRecordType.COMMIT, 9));
        to.flip();
        return to;
    }

    static ByteBuffer join(ByteBuffer... parts) {
        int size = 0;
        for (ByteBuffer p : parts) size += p.remaining();
        ByteBuffer to = ByteBuffer.allocate(size);
        for (ByteBuffer p : parts) to.put(p.duplicate());
        to.flip();
        return to;
    }

    static String records(ByteBuffer set) {
        List<String> list = new ArrayList<>();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(set.duplicate()).batches()) {
            batch.ensureValid();
            for (org.apache.kafka.common.record.Record r : batch)
                list.add("[" + r.offset() + "," + r.timestamp() + "," + value(r.key()) + "," + value(r.value()) + "]");
        }
        return "[" + String.join(",", list) + "]";
    }

    static void up(String name, String codec, boolean appendTime, ByteBuffer set) {
        System.out.println("{\"by\":\"" + by + "\",\"what\":\"up\",\"name\":\"" + name + "\",\"codec\":\"" + codec
            + "\",\"append_time\":" + appendTime + ",\"set\":\"" + hex(set) + "\",\"records\":" + records(set) + "}");
    }

    static void down(String name, ByteBuffer stored, int magic, long first) {
        ByteBuffer set = null;
        String failed = "";
        try {
            MemoryRecords all = MemoryRecords.readableRecords(stored.duplicate());
            set = ((MemoryRecords) all.downConvert((byte) magic, first, Time.SYSTEM).records()).buffer().duplicate();
        } catch (RuntimeException e) {
            failed = e.getClass().getSimpleName();
        }
        System.out.println("{\"by\":\"" + by + "\",\"what\":\"down\",\"name\":\"" + name + "\",\"magic\":" + magic
            + ",\"first\":" + first + ",\"stored\":\"" + hex(stored) + "\",\"failed\":\"" + failed + "\",\"set\":\""
            + (set == null ? "" : hex(set)) + "\",\"records\":" + (set == null ? "[]" : records(set)) + "}");
    }

    public static void main(String[] args) throws Exception {
        by = args[0];
        String[] old = {"none", "gzip", "snappy", "lz4"};
        for (int magic = 0; magic < 2; magic++) for (String codec : old) for (String shape : SHAPES) {
            String name = "magic" + magic + "-" + codec + "-" + shape;
            up(name, codec, false, batch(magic, codec, PLAIN, 0, shape));
            if (!shape.equals("one")) up(name + "-from-70", codec, false, batch(magic, codec, PLAIN, 70, shape));
            if (magic == 1) up(name + "-append-time", codec, true, batch(1, codec, APPEND_TIME, 0, shape));
            if (magic == 1) down(name + "-1", batch(1, codec, PLAIN, 500, shape), 0, 0);
        }
        boolean zstd = !by.startsWith("2.0");
        for (int magic = 0; magic < 2; magic++) {
            for (String codec : old) for (String shape : SHAPES) for (int kind = PLAIN; kind <= APPEND_TIME; kind++)
                down(codec + "-" + shape + "-" + kind, batch(2, codec, kind, 1000, shape), magic, 0);
            for (String codec : old)
                down(codec + "-inside", batch(2, codec, PLAIN, 100, "many"), magic, 117);
            ByteBuffer mixed = join(batch(0, "none", PLAIN, 0, "one"), batch(1, "gzip", PLAIN, 1, "gaps"),
                batch(2, "none", PLAIN, 20, "nulls"), batch(2, "none", TXN, 30, "gaps"), control(44),
                batch(2, "lz4", TXN, 45, "many"), control(105), batch(2, "snappy", APPEND_TIME, 200, "times"));
            down("mixed", mixed, magic, 0);
            down("mixed-inside", mixed, magic, 22);
            down("markers", join(control(5), control(6)), magic, 0);
            if (zstd) down("zstd", batch(2, "zstd", PLAIN, 0, "one"), magic, 0);
        }
    }
}
