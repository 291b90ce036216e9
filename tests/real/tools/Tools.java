// SPDX-License-Identifier: MIT
//
// Tools BOOTSTRAP PREFIX: Kafka's own command line tools against a broker, results as TAP.

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

final class Tools {
    private static final String TOPICS = "TopicCommand";
    private static final String CONFIGS = "kafka.admin.ConfigCommand";
    private static final String GROUPS = "consumer.group.ConsumerGroupCommand";
    private static final String READER = "consumer.ConsoleConsumer";
    private static String prefix;

    private Tools() {
    }

    public static void main(String[] args) throws Exception {
        Tool.bootstrap = args[0];
        prefix = args[1];
        Tool.catchExits();
        Tap.test("topics: create, list, describe", Tools::topics);
        Tap.test("topics: alter partitions, delete", Tools::alterTopics);
        Tap.test("topics: errors", Tools::topicErrors);
        Tap.test("configs: topic", Tools::topicConfigs);
        Tap.test("configs: broker", Tools::brokerConfigs);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            Tap.test("console producer and consumer, " + codec, () -> console(codec));
        }
        Tap.test("console consumer: partition, offset, group", Tools::consoleFrom);
        Tap.test("get offsets", Tools::getOffsets);
        Tap.test("delete records", Tools::deleteRecords);
        Tap.test("consumer groups: list, describe, state, members", Tools::groups);
        Tap.test("consumer groups: reset offsets", Tools::resetOffsets);
        Tap.test("consumer groups: delete offsets, delete", Tools::deleteGroups);
        Tap.test("producer and consumer perf test", Tools::perf);
        Tap.test("verifiable producer and consumer", Tools::verifiable);
        Tap.test("end to end latency", Tools::latency);
        Tap.test("log dirs", Tools::logDirs);
        Tap.test("broker api versions", Tools::apiVersions);
        Tap.test("cluster id", Tools::clusterId);
        Tap.test("metadata quorum", Tools::quorum);
        Tap.test("leader election", Tools::elections);
        Tap.test("reassign partitions: to where they are", Tools::reassign);
        Tap.test("configs: groups and client metrics", Tools::otherConfigs);
        Tap.test("consumer groups: reset by duration, from a file, to current, all topics", Tools::moreResets);
        Tap.test("features", Tools::features);
        Tool.leave(Tap.finish());
    }

    private static String topic(String name, int partitions) throws Exception {
        String full = prefix + "-" + name;
        String out = Tool.run(TOPICS, "--create", "--topic", full, "--partitions", "" + partitions,
            "--replication-factor", "1");
        has(out, "Created topic " + full);
        served(full, partitions);
        return full;
    }

    /** Kafka tells of a topic before its leader serves it. */
    private static void served(String topic, int partitions) throws Exception {
        Tap.within(topic + " is served", () -> Tool.lines(Tool.feed("", "GetOffsetShell",
            Tool.withServer("--topic", topic)).out).length == partitions);
    }

    private static void has(String text, String part) {
        Tap.truth(text.contains(part), "'" + part + "' in: " + text);
    }

    private static void matches(String text, String pattern) {
        Tap.truth(Pattern.compile(pattern, Pattern.MULTILINE).matcher(text).find(), pattern + " in: " + text);
    }

    private static void produce(String topic, String input, String... more) throws Exception {
        List<String> args = new ArrayList<>(Arrays.asList(Tool.withServer("--topic", topic)));
        args.addAll(Arrays.asList(more));
        Tool tool = Tool.feed(input, "ConsoleProducer", args.toArray(new String[0]));
        Tap.equal(0, tool.status, "status of the console producer, which said " + tool.err);
        Tap.truth(!tool.err.contains("ERROR") && !tool.err.contains("Exception"), tool.err);
    }

    /** Lines 0 to count - 1, the value being "line <i>", to partition 0 of a new topic. */
    private static String filled(String name, int count) throws Exception {
        String topic = topic(name, 1);
        StringBuilder input = new StringBuilder();
        for (int i = 0; i < count; i++) {
            input.append("line ").append(i).append('\n');
        }
        produce(topic, input.toString());
        return topic;
    }

    private static void topics() throws Exception {
        String topic = prefix + "-topic";
        Tool.run(TOPICS, "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1",
            "--config", "retention.ms=3600000", "--config", "segment.bytes=2097152");
        served(topic, 3);
        has(Tool.run(TOPICS, "--list"), topic + "\n");
        String out = Tool.run(TOPICS, "--describe", "--topic", topic);
        matches(out, "Topic: " + topic + "\\s+TopicId: [\\w-]{22}\\s+PartitionCount: 3\\s+ReplicationFactor: 1");
        has(out, "retention.ms=3600000");
        has(out, "segment.bytes=2097152");
        matches(out, "Partition: 2\\s+Leader: \\d+\\s+Replicas: \\d+\\s+Isr: \\d+");
        Tool.run(TOPICS, "--create", "--if-not-exists", "--topic", topic);
        Tap.equal("", Tool.run(TOPICS, "--describe", "--under-replicated-partitions"), "under-replicated");
        Tap.equal("", Tool.run(TOPICS, "--describe", "--unavailable-partitions"), "unavailable");
    }

    private static void alterTopics() throws Exception {
        String topic = topic("alter", 1);
        Tool.run(TOPICS, "--alter", "--topic", topic, "--partitions", "4");
        Tap.within("four partitions", () -> Tool.run(TOPICS, "--describe", "--topic", topic)
            .contains("PartitionCount: 4"));
        Tool.run(TOPICS, "--delete", "--topic", topic);
        Tap.within("topic is gone", () -> !Tool.run(TOPICS, "--list").contains(topic + "\n"));
    }

    private static void topicErrors() throws Exception {
        String topic = topic("errors", 2);
        Tool.fails("already exists", TOPICS, "--create", "--topic", topic);
        Tool.fails("already has 2 partition", TOPICS, "--alter", "--topic", topic, "--partitions", "2");
        Tool.fails("does not exist", TOPICS, "--describe", "--topic", topic + "-no");
        Tool.fails("no.such.key", TOPICS, "--create", "--topic", topic + "2", "--config", "no.such.key=1");
        Tool.fails("eplication factor", TOPICS, "--create", "--topic", topic + "2", "--replication-factor", "3");
    }

    private static void topicConfigs() throws Exception {
        String topic = topic("configs", 1);
        String[] on = {"--entity-type", "topics", "--entity-name", topic};
        Tool.run(CONFIGS, join(on, "--alter", "--add-config", "retention.ms=7200000,cleanup.policy=[compact,delete]"));
        String out = Tool.run(CONFIGS, join(on, "--describe"));
        matches(out, "retention.ms=7200000 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=7200000");
        has(out, "cleanup.policy=compact,delete");
        Tool.run(CONFIGS, join(on, "--alter", "--delete-config", "retention.ms"));
        Tap.truth(!Tool.run(CONFIGS, join(on, "--describe")).contains("retention.ms"), "deleted config is gone");
        has(Tool.run(CONFIGS, join(on, "--describe", "--all")), "retention.ms=604800000");
        Tool.fails("", CONFIGS, join(on, "--alter", "--add-config", "retention.ms=soon"));
    }

    private static String[] join(String[] first, String... rest) {
        List<String> all = new ArrayList<>(Arrays.asList(first));
        all.addAll(Arrays.asList(rest));
        return all.toArray(new String[0]);
    }

    private static void brokerConfigs() throws Exception {
        Matcher leader = Pattern.compile("Leader: (\\d+)").matcher(
            Tool.run(TOPICS, "--describe", "--topic", topic("broker-id", 1)));
        Tap.truth(leader.find(), "a leader");
        String out = Tool.run(CONFIGS, "--entity-type", "brokers", "--entity-name", leader.group(1),
            "--describe", "--all");
        has(out, "log.segment.bytes=1073741824");
        has(out, "message.max.bytes=1048588");
    }

    private static void console(String codec) throws Exception {
        String topic = topic("console-" + codec, 1);
        StringBuilder input = new StringBuilder();
        StringBuilder expected = new StringBuilder();
        for (int i = 0; i < 200; i++) {
            String value = "wörth " + i + "x".repeat(i * 13 % 300);
            input.append("a:").append(i).append(",b:two\tkey").append(i).append('\t').append(value).append('\n');
            expected.append("Offset:").append(i).append("\ta:").append(i).append(",b:two\tkey").append(i)
                .append('\t').append(value).append('\n');
        }
        produce(topic, input.toString(), "--compression-codec", codec, "--reader-property", "parse.key=true",
            "--reader-property", "parse.headers=true");
        String out = Tool.run(READER, "--topic", topic, "--from-beginning", "--max-messages", "200",
            "--timeout-ms", "60000", "--formatter-property", "print.key=true", "--formatter-property",
            "print.headers=true", "--formatter-property", "print.offset=true");
        Tap.equal(expected.toString(), out, "what was read");
    }

    private static void consoleFrom() throws Exception {
        String topic = filled("from", 50);
        Tap.equal("line 40\nline 41\n", Tool.run(READER, "--topic", topic, "--partition", "0", "--offset", "40",
            "--max-messages", "2", "--timeout-ms", "60000"), "from an offset");
        String group = topic + "-group";
        Tap.equal("line 0\nline 1\nline 2\n", Tool.run(READER, "--topic", topic, "--group", group,
            "--from-beginning", "--max-messages", "3", "--timeout-ms", "60000"), "first of the group");
        Tap.equal("line 3\n", Tool.run(READER, "--topic", topic, "--group", group, "--max-messages", "1",
            "--timeout-ms", "60000"), "the group goes on");
    }

    private static void getOffsets() throws Exception {
        long before = System.currentTimeMillis();
        String topic = filled("offsets", 30);
        String[] on = {"--topic", topic};
        Tap.equal(topic + ":0:30\n", Tool.run("GetOffsetShell", on), "latest");
        Tap.equal(topic + ":0:0\n", Tool.run("GetOffsetShell", join(on, "--time", "earliest")), "earliest");
        matches(Tool.run("GetOffsetShell", join(on, "--time", "max-timestamp")), topic + ":0:\\d+");
        Tap.equal(topic + ":0:0\n", Tool.run("GetOffsetShell", join(on, "--time", "" + before)), "by time");
        Tap.equal("", Tool.run("GetOffsetShell", join(on, "--time", "" + (before + 3_600_000))),
            "by a later time");
    }

    private static void deleteRecords() throws Exception {
        String topic = filled("delete", 30);
        Path json = Files.createTempFile("delete", ".json");
        Files.write(json, ("{\"partitions\":[{\"topic\":\"" + topic
            + "\",\"partition\":0,\"offset\":12}],\"version\":1}").getBytes(StandardCharsets.UTF_8));
        has(Tool.run("DeleteRecordsCommand", "--offset-json-file", json.toString()), "low_watermark: 12");
        Files.delete(json);
        Tap.equal(topic + ":0:12\n", Tool.run("GetOffsetShell", "--topic", topic, "--time", "earliest"), "earliest");
        Tap.equal("line 12\n", Tool.run(READER, "--topic", topic, "--from-beginning", "--max-messages", "1",
            "--timeout-ms", "60000"), "first record");
    }

    /** A new topic of 20 lines with a group that has read 8 of them. */
    private static String grouped(String name) throws Exception {
        String topic = filled(name, 20);
        Tool.run(READER, "--topic", topic, "--group", topic, "--from-beginning", "--max-messages", "8",
            "--timeout-ms", "60000");
        return topic;
    }

    private static void groups() throws Exception {
        String topic = grouped("groups");
        has(Tool.run(GROUPS, "--list"), topic + "\n");
        matches(Tool.run(GROUPS, "--list", "--state"), topic + "\\s+(Classic\\s+)?Empty");
        matches(Tool.run(GROUPS, "--describe", "--group", topic), topic + "\\s+" + topic + "\\s+0\\s+8\\s+20\\s+12");
        matches(Tool.run(GROUPS, "--describe", "--group", topic, "--state"), topic + ".*Empty\\s+0");
        Tool.run(GROUPS, "--describe", "--group", topic, "--members");
        matches(Tool.run("GroupsCommand", "--list"), topic + "\\s+Classic\\s+consumer");
        matches(Tool.run("GetOffsetShell", "--topic", "__consumer_offsets"), "__consumer_offsets:49:\\d+");
    }

    private static void resetOffsets() throws Exception {
        String topic = grouped("reset");
        String[] on = {"--group", topic, "--topic", topic, "--reset-offsets", "--execute"};
        matches(Tool.run(GROUPS, join(on, "--to-earliest")), topic + "\\s+" + topic + "\\s+0\\s+0");
        matches(Tool.run(GROUPS, join(on, "--to-offset", "15")), topic + "\\s+0\\s+15");
        matches(Tool.run(GROUPS, join(on, "--shift-by", "-2")), topic + "\\s+0\\s+13");
        matches(Tool.run(GROUPS, join(on, "--to-datetime", "2020-01-01T00:00:00.000")), topic + "\\s+0\\s+0");
        matches(Tool.run(GROUPS, join(on, "--to-latest")), topic + "\\s+0\\s+20");
        matches(Tool.run(GROUPS, join(on, "--to-offset", "17")), topic + "\\s+0\\s+17");
        Tap.equal("line 17\n", Tool.run(READER, "--topic", topic, "--group", topic, "--max-messages", "1",
            "--timeout-ms", "60000"), "read after the reset");
    }

    private static void deleteGroups() throws Exception {
        String topic = grouped("delete-group");
        matches(Tool.run(GROUPS, "--delete-offsets", "--group", topic, "--topic", topic), topic + ".*0.*Successful");
        Tap.truth(!Tool.run(GROUPS, "--describe", "--group", topic).contains(" 8 "), "the offset is gone");
        String other = grouped("delete-group-2");
        has(Tool.run(GROUPS, "--delete", "--group", other), "was successful");
        Tap.truth(!Tool.run(GROUPS, "--list").contains(other + "\n"), "the group is gone");
        Tool.fails("does not exist", GROUPS, "--delete", "--group", other);
    }

    private static void perf() throws Exception {
        String topic = topic("perf", 3);
        String out = Tool.run("ProducerPerformance", "--topic", topic, "--num-records", "20000", "--record-size",
            "200", "--throughput", "-1", "--command-property", "acks=all", "compression.type=lz4");
        matches(out, "^20000 records sent, .* records/sec");
        out = Tool.run("ConsumerPerformance", "--topic", topic, "--num-records", "20000", "--hide-header");
        String[] fields = out.trim().split(", *");
        Tap.equal("20000", fields[4], "records consumed, in: " + out);
    }

    private static void verifiable() throws Exception {
        String topic = topic("verifiable", 2);
        String out = Tool.fork("VerifiableProducer", "--topic", topic, "--max-messages", "500", "--repeating-keys",
            "7", "--value-prefix", "9");
        TreeSet<Integer> sent = values(out, "\"name\":\"producer_send_success\"");
        Tap.equal(500, sent.size(), "acknowledged values");
        matches(out, "\"name\":\"tool_data\".*\"sent\":500.*\"acked\":500|\"acked\":500.*\"sent\":500");
        out = Tool.fork("VerifiableConsumer", "--topic", topic, "--group-id", topic, "--max-messages", "500",
            "--verbose");
        Tap.equal(sent, values(out, "\"name\":\"record_data\""), "values consumed");
        has(out, "\"name\":\"offsets_committed\"");
        Tap.truth(!out.contains("\"success\":false"), "a commit failed: " + out);
    }

    private static TreeSet<Integer> values(String out, String mark) {
        TreeSet<Integer> values = new TreeSet<>();
        Pattern value = Pattern.compile("\"value\":\"9\\.(\\d+)\"");
        for (String line : Tool.lines(out)) {
            Matcher found = value.matcher(line);
            if (line.contains(mark) && found.find()) {
                values.add(Integer.parseInt(found.group(1)));
            }
        }
        return values;
    }

    private static void latency() throws Exception {
        String topic = topic("latency", 1);
        matches(Tool.run("EndToEndLatency", "--topic", topic, "--num-records", "300", "--producer-acks", "all",
            "--record-size", "100"), "Avg latency: [\\d.]+ ms");
    }

    private static void logDirs() throws Exception {
        String topic = filled("dirs", 20);
        matches(Tool.run("LogDirsCommand", "--describe", "--topic-list", topic),
            "\"partition\":\"" + topic + "-0\",\"size\":[1-9]\\d+");
    }

    private static void apiVersions() throws Exception {
        String out = Tool.run("BrokerApiVersionsCommand");
        for (String api : new String[] {"Produce", "Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch",
            "FindCoordinator", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups",
            "ApiVersions", "CreateTopics", "DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch",
            "DescribeConfigs", "AlterConfigs", "DescribeLogDirs", "CreatePartitions", "DeleteGroups",
            "IncrementalAlterConfigs", "OffsetDelete", "DescribeCluster", "DescribeTopicPartitions"}) {
            matches(out, "\\b" + api + "\\(\\d+\\): \\d+( to \\d+)? \\[usable: \\d+\\]");
        }
    }

    private static void clusterId() throws Exception {
        matches(Tool.feed("", "ClusterTool", "cluster-id", "--bootstrap-server", Tool.bootstrap).out,
            "Cluster ID: [\\w-]{22}");
    }

    private static void quorum() throws Exception {
        String out = Tool.run("MetadataQuorumCommand", "describe", "--status");
        matches(out, "LeaderId:\\s+\\d+");
        matches(out, "HighWatermark:\\s+[1-9]\\d*");
        matches(out, "CurrentVoters:\\s+\\[\\{\"id\": \\d+");
        matches(Tool.run("MetadataQuorumCommand", "describe", "--replication"), "^\\d+\\s+\\S+\\s+\\d+\\s+0\\s.*Leader");
    }

    private static void elections() throws Exception {
        String topic = topic("elections", 2);
        Tool.run("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions");
        has(Tool.run("LeaderElectionCommand", "--election-type", "unclean", "--topic", topic, "--partition", "1"),
            "Valid replica already elected for partitions " + topic + "-1");
        Tool.fails("could not be elected", "LeaderElectionCommand", "--election-type", "preferred", "--topic",
            topic + "-no", "--partition", "0");
    }

    private static Path json(String text) throws Exception {
        Path file = Files.createTempFile("tools", ".json");
        Files.write(file, text.getBytes(StandardCharsets.UTF_8));
        return file;
    }

    private static void reassign() throws Exception {
        String command = "reassign.ReassignPartitionsCommand";
        String topic = topic("reassign", 2);
        Matcher leader = Pattern.compile("Leader: (\\d+)").matcher(Tool.run(TOPICS, "--describe", "--topic", topic));
        Tap.truth(leader.find(), "a leader");
        has(Tool.run(command, "--list"), "No partition reassignments found");
        Path topics = json("{\"topics\":[{\"topic\":\"" + topic + "\"}],\"version\":1}");
        String out = Tool.run(command, "--generate", "--topics-to-move-json-file", topics.toString(), "--broker-list",
            leader.group(1));
        String[] lines = Tool.lines(out.trim());
        Path plan = json(lines[lines.length - 1]);
        has(Tool.run(command, "--execute", "--reassignment-json-file", plan.toString()),
            "Successfully started partition reassignments for " + topic + "-0," + topic + "-1");
        has(Tool.run(command, "--verify", "--reassignment-json-file", plan.toString()),
            "Reassignment of partition " + topic + "-1 is completed");
        has(Tool.run(command, "--cancel", "--reassignment-json-file", plan.toString()),
            "None of the specified partition reassignments are active");
        Matcher path = Pattern.compile("\"logDir\":\"([^\"]+)\"").matcher(Tool.run("LogDirsCommand", "--describe"));
        Tap.truth(path.find(), "a log directory");
        Path there = json(lines[lines.length - 1].replace("\"any\"", "\"" + path.group(1) + "\""));
        has(Tool.run(command, "--execute", "--reassignment-json-file", there.toString()),
            " for replica " + topic + "-1 with broker " + leader.group(1));
        has(Tool.run(command, "--verify", "--reassignment-json-file", there.toString()),
            "Reassignment of partition " + topic + "-1 is completed");
        Path wrong = json("{\"version\":1,\"partitions\":[{\"topic\":\"" + topic
            + "\",\"partition\":0,\"replicas\":[98]}]}");
        Tool.fails("98", command, "--execute", "--reassignment-json-file", wrong.toString());
        for (Path file : new Path[] {topics, plan, there, wrong}) {
            Files.delete(file);
        }
    }

    private static void otherConfigs() throws Exception {
        String name = prefix + "-group";
        String[] on = {"--entity-type", "groups", "--entity-name", name};
        Tool.run(CONFIGS, join(on, "--alter", "--add-config", "consumer.session.timeout.ms=50000"));
        Tap.within("the group's setting", () -> Tool.run(CONFIGS, join(on, "--describe"))
            .contains("consumer.session.timeout.ms=50000"));
        Tool all = Tool.feed("", CONFIGS, "--bootstrap-server", Tool.bootstrap, "--entity-type", "groups",
            "--describe");
        Tap.truth(all.out.contains("consumer.session.timeout.ms=50000") && all.status == 0
            || (all.out + all.err).contains("resource must not be empty"), // an old client's group without a name
            all.out + all.err);
        has(Tool.run(CONFIGS, join(on, "--describe")), "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000");
        Tool.run(CONFIGS, join(on, "--alter", "--delete-config", "consumer.session.timeout.ms"));
        Tool.run("ClientMetricsCommand", "--alter", "--name", name, "--metrics", "org.apache.kafka", "--interval",
            "10000");
        Tap.within("the subscription", () -> Tool.run("ClientMetricsCommand", "--list").contains(name));
        has(Tool.run("ClientMetricsCommand", "--describe"), "interval.ms=10000");
        Tool.run("ClientMetricsCommand", "--delete", "--name", name);
        has(Tool.run(CONFIGS, "--entity-type", "topics", "--describe"), "Dynamic configs for topic ");
    }

    private static void moreResets() throws Exception {
        String topic = grouped("resets");
        String[] on = {"--group", topic, "--reset-offsets", "--execute"};
        matches(Tool.run(GROUPS, join(on, "--topic", topic + ":0", "--by-duration", "PT1H")), topic + "\\s+0\\s+0");
        matches(Tool.run(GROUPS, join(on, "--all-topics", "--to-offset", "11")), topic + "\\s+0\\s+11");
        matches(Tool.run(GROUPS, join(on, "--all-topics", "--to-current")), topic + "\\s+0\\s+11");
        Path file = json(Tool.run(GROUPS, "--group", topic, "--reset-offsets", "--export", "--dry-run", "--to-offset",
            "5", "--topic", topic));
        matches(Tool.run(GROUPS, join(on, "--from-file", file.toString())), topic + "\\s+0\\s+5");
        Files.delete(file);
        matches(Tool.run(GROUPS, "--all-groups", "--describe", "--offsets"), topic + "\\s+0\\s+5\\s+20\\s+15");
        matches(Tool.run(GROUPS, "--all-groups", "--all-topics", "--reset-offsets", "--dry-run", "--to-latest"),
            topic + "\\s+0\\s+20");
    }

    private static void features() throws Exception {
        Tool tool = Tool.feed("", "FeatureCommand", "--bootstrap-server", Tool.bootstrap, "describe");
        Tap.equal(0, tool.status, "status; " + tool.err);
        matches(tool.out, "Feature: metadata.version\\s+SupportedMinVersion: \\S+\\s+SupportedMaxVersion: 4\\.\\S+");
    }
}
