// SPDX-License-Identifier: MIT
//
// Runs a command line tool of Kafka inside this JVM (starting one for each call would take most of
// the time): standard input and output are replaced, and an exit ends the call, not the process.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.security.Permission;
import java.security.Policy;
import java.security.ProtectionDomain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

@SuppressWarnings("removal")
final class Tool {
    static String bootstrap;

    final int status;
    final String out;
    final String err;

    private Tool(int status, String out, String err) {
        this.status = status;
        this.out = out;
        this.err = err;
    }

    private static final class Ended extends SecurityException {
        final int status;

        Ended(int status) {
            super("exit " + status);
            this.status = status;
        }
    }

    private static volatile Integer ended;
    private static volatile boolean leaving;
    private static final List<Runnable> HOOKS = Collections.synchronizedList(new ArrayList<>());

    /** Turns every exit into an exception, and keeps what was to run at the exit; needs -Djava.security.manager=allow. */
    static void catchExits() {
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        Policy.setPolicy(new Policy() {
            @Override
            public boolean implies(ProtectionDomain domain, Permission permission) {
                return true;
            }
        });
        System.setSecurityManager(new SecurityManager() {
            @Override
            public void checkExit(int status) {
                if (leaving) {
                    return;
                }
                if (ended == null) {
                    ended = status;
                }
                throw new Ended(status);
            }

            @Override
            public void checkPermission(Permission permission) {
            }
        });
    }

    /** Runs the class (its name inside org.apache.kafka.tools, or in full) with an input. */
    static synchronized Tool feed(String input, String name, String... args) throws Exception {
        String full = name.startsWith("kafka.") ? name : "org.apache.kafka.tools." + name;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        InputStream oldIn = System.in;
        PrintStream oldOut = System.out;
        PrintStream oldErr = System.err;
        int status = 0;
        ended = null;
        try {
            HOOKS.clear();
            System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
            System.setOut(new PrintStream(out, true, "UTF-8"));
            System.setErr(new PrintStream(err, true, "UTF-8"));
            try {
                Class.forName(full).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (InvocationTargetException thrown) {
                if (!(thrown.getCause() instanceof Ended)) {
                    thrown.getCause().printStackTrace();
                    status = 1;
                }
            }
            runHooks();
        } finally {
            System.setIn(oldIn);
            System.setOut(oldOut);
            System.setErr(oldErr);
        }
        if (ended != null) {
            status = ended;
        }
        return new Tool(status, out.toString("UTF-8"), err.toString("UTF-8"));
    }

    private static void runHooks() {
        for (Runnable hook : new ArrayList<>(HOOKS)) {
            hook.run();
        }
    }

    static void leave(int status) {
        leaving = true;
        Runtime.getRuntime().halt(status);
    }

    /** Like run, in a process of its own: for a tool that does its work in hooks out of our reach. */
    static String fork(String name, String... args) throws Exception {
        List<String> command = new ArrayList<>(Arrays.asList("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile"),
            "-cp", System.getProperty("java.class.path"), "org.apache.kafka.tools." + name));
        Collections.addAll(command, withServer(args));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        process.getOutputStream().close();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int status = process.waitFor();
        if (status != 0) {
            throw new AssertionError(name + ": status " + status + "\n" + out);
        }
        return out;
    }

    /** Runs a tool that takes --bootstrap-server; it must end with status 0. Returns its output. */
    static String run(String name, String... args) throws Exception {
        Tool tool = feed("", name, withServer(args));
        if (tool.status != 0) {
            throw new AssertionError(name + " " + String.join(" ", args) + ": status " + tool.status
                + "\n" + tool.out + tool.err);
        }
        return tool.out;
    }

    /** Like run, but the tool must fail, and say text. */
    static void fails(String text, String name, String... args) throws Exception {
        Tool tool = feed("", name, withServer(args));
        String said = tool.out + tool.err;
        if (tool.status == 0 && !said.contains("Error")) {
            throw new AssertionError(name + " " + String.join(" ", args) + " did not fail: " + said);
        }
        if (!said.contains(text)) {
            throw new AssertionError(name + " failed without saying '" + text + "': " + said);
        }
    }

    static String[] withServer(String... args) {
        List<String> all = new ArrayList<>(Arrays.asList("--bootstrap-server", bootstrap));
        all.addAll(Arrays.asList(args));
        return all.toArray(new String[0]);
    }

    static String[] lines(String text) {
        return text.isEmpty() ? new String[0] : text.split("\n");
    }
}
