// SPDX-License-Identifier: MIT
//
// Dump DIR: runs Kafka's DumpLogSegments over every file of a data directory. It must read all of
// it without a complaint. Results as TAP, one case for each way of looking.

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

final class Dump {
    private static final Pattern COMPLAINT = Pattern.compile("Mismatch|mismatch|out of order"
        + "|not found in|Error at|skipping|Failed to decode|isvalid: false|Exception|invalid bytes"
        + "|Ignoring unknown|Unknown|unknown record|failed sanity|does not match", Pattern.MULTILINE);
    private static final Pattern OFFSET = Pattern.compile("^\\| offset: (\\d+) ");
    // The tool also says that -1 is followed by the first offset of a file that does not begin at 0.
    private static final Pattern GAP = Pattern.compile("^ *\\d+ is followed by \\d+");
    private static Path root;
    private static String deep = "";

    private Dump() {
    }

    public static void main(String[] args) throws Exception {
        root = Paths.get(args[0]);
        Tool.catchExits();
        Tap.test("logs, deep iteration", () -> deep = dump(data(".log"), "--deep-iteration"));
        Tap.test("records are counted from the log's start without a gap", Dump::gapless);
        Tap.test("offset indexes against their logs", () -> dump(files(".index", p -> true), "--verify-index-only"));
        Tap.test("offset indexes, sanity", () -> dump(files(".index", p -> true), "--index-sanity-check"));
        Tap.test("time indexes against their logs", () -> dump(files(".timeindex", p -> true), "--verify-index-only"));
        Tap.test("time indexes, sanity", () -> dump(files(".timeindex", p -> true), "--index-sanity-check"));
        Tap.test("producer snapshots", () -> dump(files(".snapshot", p -> true)));
        Tap.test("group offsets", Dump::offsets);
        Tap.test("cluster metadata", Dump::metadata);
        List<String> snapshots = files(".checkpoint", p -> folder(p).startsWith("__cluster_metadata-"));
        if (!snapshots.isEmpty()) {
            Tap.test("metadata snapshots", () -> dump(snapshots, "--cluster-metadata-decoder"));
        }
        Tool.leave(Tap.finish());
    }

    private interface Which {
        boolean test(Path path);
    }

    private static List<String> files(String end, Which which) throws IOException {
        try (Stream<Path> all = Files.walk(root)) {
            return all.filter(p -> !folder(p).endsWith("-delete")).filter(p -> p.getFileName().toString().endsWith(end)).filter(which::test)
                .map(Path::toString).sorted().collect(Collectors.toList());
        }
    }

    private static String folder(Path path) {
        return path.getParent().getFileName().toString();
    }

    private static List<String> data(String end) throws IOException {
        return files(end, p -> !folder(p).startsWith("__cluster_metadata"));
    }

    private static String dump(List<String> files, String... options) throws Exception {
        Tap.truth(!files.isEmpty() || Arrays.asList(options).isEmpty(), "there are such files in " + root);
        StringBuilder all = new StringBuilder();
        for (int from = 0; from < files.size(); from += 50) {
            List<String> some = files.subList(from, Math.min(files.size(), from + 50));
            List<String> args = new ArrayList<>(Arrays.asList("--files", String.join(",", some)));
            Collections.addAll(args, options);
            Tool tool = Tool.feed("", "DumpLogSegments", args.toArray(new String[0]));
            Tap.equal(0, tool.status, "status; " + tail(tool.out) + tool.err);
            complaints(tool.err);
            complaints(tool.out);
            all.append(tool.out);
        }
        return all.toString();
    }

    private static void complaints(String out) {
        String file = "";
        String[] lines = Tool.lines(out);
        for (int i = 0; i < lines.length; i++) {
            String line = lines[i];
            file = line.startsWith("Dumping ") ? line : file;
            String tested = line.replaceFirst(" (key|payload): .*", "");
            if (!line.startsWith("Dumping ") && (COMPLAINT.matcher(tested).find()
                    || GAP.matcher(line).find())) {
                throw new AssertionError(file + ": " + line + (i + 1 < lines.length ? " / " + lines[i + 1] : ""));
            }
        }
    }

    private static String tail(String text) {
        return text.substring(Math.max(0, text.length() - 500));
    }

    /** Nothing here is compacted or transactional, so every offset has its record. */
    private static void gapless() throws Exception {
        int records = 0;
        long next = 0;
        String file = "";
        for (String line : Tool.lines(deep)) {
            Matcher offset = OFFSET.matcher(line);
            if (line.startsWith("Dumping ")) {
                file = line;
                next = Long.parseLong(line.replaceFirst(".*/(\\d+)\\.log$", "$1"));
            } else if (offset.find()) {
                Tap.equal(next, Long.parseLong(offset.group(1)), "offset, " + file);
                next++;
                records++;
            }
        }
        Tap.truth(records > 0, "some records");
    }

    private static void offsets() throws Exception {
        String out = dump(files(".log", p -> folder(p).startsWith("__consumer_offsets-") && p.toFile().length() > 0),
            "--offsets-decoder");
        for (String part : new String[] {"\"group\"", "\"offset\"", "\"protocolType\":\"consumer\""}) {
            Tap.truth(out.contains(part), part + " among the decoded group records: " + tail(out));
        }
    }

    private static void metadata() throws Exception {
        String out = dump(files(".log", p -> folder(p).startsWith("__cluster_metadata-")),
            "--cluster-metadata-decoder");
        for (String type : new String[] {"TOPIC_RECORD", "PARTITION_RECORD", "CONFIG_RECORD", "FEATURE_LEVEL_RECORD"}) {
            Tap.truth(out.contains("\"type\":\"" + type + "\""), type + " among the decoded metadata: " + tail(out));
        }
    }
}
