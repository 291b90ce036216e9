// SPDX-License-Identifier: MIT
//
// Prints test results as TAP. A case is a method that throws when something is wrong.

import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

final class Tap {
    interface Body {
        void run() throws Exception;
    }

    static final class Skip extends RuntimeException {
        Skip(String why) {
            super(why);
        }
    }

    /** That a busy machine may need for what takes milliseconds. */
    static final int PATIENCE_SECONDS = 60;

    private static int count;
    private static int failed;
    private static String only = System.getenv().getOrDefault("ONLY", "");

    private Tap() {
    }

    static void test(String name, Body body) {
        if (!name.contains(only)) {
            return;
        }
        count++;
        long start = System.nanoTime();
        try {
            body.run();
            System.out.println("ok " + count + " - " + name);
        } catch (Skip skip) {
            System.out.println("ok " + count + " - " + name + " # SKIP " + skip.getMessage());
        } catch (Throwable error) {
            failed++;
            System.out.println("not ok " + count + " - " + name);
            StackTraceElement[] stack = error.getStackTrace();
            String story = String.valueOf(error);
            story = story.length() > 3000 ? story.substring(0, 3000) + "..." : story;
            System.out.println("# " + story.replace("\n", "\n# "));
            Arrays.stream(stack).filter(e -> !e.getClassName().startsWith("java.")).limit(6)
                .forEach(e -> System.out.println("#   at " + e));
            if (error.getCause() != null) {
                System.out.println("# cause " + error.getCause());
            }
        }
        long ms = (System.nanoTime() - start) / 1_000_000;
        if (ms > 1000) {
            System.out.println("# " + name + " took " + ms + " ms");
        }
        System.out.flush();
    }

    static int finish() {
        System.out.println("1.." + count);
        System.out.flush();
        return failed == 0 ? 0 : 1;
    }

    static void equal(Object expected, Object got, String what) {
        if (!Objects.deepEquals(expected, got)) {
            throw new AssertionError(what + ": expected " + text(expected) + ", got " + text(got));
        }
    }

    static void truth(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** The call must fail with this exception, given by its simple name. */
    static Throwable fails(String expected, Callable<?> call) throws Exception {
        Throwable error;
        try {
            Object got = call.call();
            throw new AssertionError("expected " + expected + ", but the call gave " + got);
        } catch (ExecutionException wrapped) {
            error = wrapped.getCause();
        } catch (Exception direct) {
            error = direct;
        }
        for (String name : expected.split("\\|")) {
            if (error.getClass().getSimpleName().equals(name)) {
                return error;
            }
        }
        throw new AssertionError("expected " + expected + ", got " + error, error);
    }

    /** Waits until a condition holds: for what the protocol makes visible only in time. */
    static void within(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + PATIENCE_SECONDS * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + PATIENCE_SECONDS + " s: " + what);
            }
            Thread.sleep(20);
        }
    }

    private static String text(Object value) {
        if (value instanceof byte[]) {
            byte[] bytes = (byte[]) value;
            String head = new String(bytes, 0, Math.min(40, bytes.length));
            return bytes.length + " bytes '" + head + "'";
        }
        return String.valueOf(value);
    }
}
