// SPDX-License-Identifier: MIT
//
// Consumer groups: rebalances in mid-stream, static members, committed offsets, group admin calls.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

final class GroupCases {
    private static final String ASSIGNOR = "partition.assignment.strategy";
    private static final String PACKAGE = "org.apache.kafka.clients.consumer.";

    private GroupCases() {
    }

    static void run() {
        Tap.test("eager rebalance in mid-stream, range", () -> rebalance("RangeAssignor"));
        Tap.test("eager rebalance in mid-stream, round robin", () -> rebalance("RoundRobinAssignor"));
        Tap.test("eager rebalance in mid-stream, sticky", () -> rebalance("StickyAssignor"));
        Tap.test("cooperative rebalance in mid-stream", () -> rebalance("CooperativeStickyAssignor"));
        Tap.test("static member restarts without a rebalance", GroupCases::staticMember);
        Tap.test("static member is fenced by its double", GroupCases::fenced);
        Tap.test("silent member is expelled after its session", GroupCases::expelled);
        Tap.test("committed offsets are resumed by a new consumer", GroupCases::resume);
        Tap.test("automatic commit", GroupCases::autoCommit);
        Tap.test("commit without membership", GroupCases::simpleGroup);
        Tap.test("commit of an expelled member fails", GroupCases::staleCommit);
        Tap.test("pattern subscription finds a new topic", GroupCases::pattern);
        Tap.test("subscription change moves to another topic", GroupCases::resubscribe);
        Tap.test("list and describe groups", GroupCases::describe);
        Tap.test("delete groups", GroupCases::delete);
        Tap.test("list, alter, delete offsets", GroupCases::offsets);
    }

    /** A consumer in its own thread; it commits what it has seen before it gives partitions away. */
    private static final class Member extends Thread implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Map<Integer, List<Long>> seen;
        final Set<Integer> owned = ConcurrentHashMap.newKeySet();
        final AtomicInteger revocations = new AtomicInteger();
        volatile Throwable error;
        volatile boolean stop;

        Member(String topic, Map<Integer, List<Long>> seen, Object... settings) {
            this.seen = seen;
            consumer = Client.consumer(settings);
            consumer.subscribe(Collections.singleton(topic), this);
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try {
                while (!stop) {
                    for (ConsumerRecord<byte[], byte[]> got : consumer.poll(Duration.ofMillis(50))) {
                        seen.computeIfAbsent(got.partition(), p -> Collections.synchronizedList(new ArrayList<>()))
                            .add(got.offset());
                    }
                }
                consumer.commitSync();
            } catch (Throwable thrown) {
                error = thrown;
            } finally {
                consumer.close(Duration.ofSeconds(5));
            }
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> lost) {
            if (!lost.isEmpty()) {
                revocations.incrementAndGet();
                consumer.commitSync();
                lost.forEach(tp -> owned.remove(tp.partition()));
            }
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> lost) {
            lost.forEach(tp -> owned.remove(tp.partition()));
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> won) {
            won.forEach(tp -> owned.add(tp.partition()));
        }

        void end() throws Exception {
            stop = true;
            join(Tap.PATIENCE_SECONDS * 1000L);
            if (error != null) {
                throw new AssertionError("member failed: " + error, error);
            }
        }
    }

    private static void together(int partitions, Member... members) throws Exception {
        Tap.within("members share " + partitions + " partitions evenly", () -> {
            Set<Integer> all = new HashSet<>();
            int sum = 0;
            for (Member member : members) {
                if (member.error != null) {
                    throw new AssertionError("member failed: " + member.error, member.error);
                }
                all.addAll(member.owned);
                sum += member.owned.size();
                if (member.owned.size() != partitions / members.length) {
                    return false;
                }
            }
            return sum == partitions && all.size() == partitions;
        });
    }

    private static void rebalance(String assignor) throws Exception {
        String topic = Client.topic("group-" + assignor, 6);
        Object[] settings = {"group.id", topic, ASSIGNOR, PACKAGE + assignor};
        Map<Integer, List<Long>> seen = new ConcurrentHashMap<>();
        AtomicInteger sent = new AtomicInteger();
        boolean[] stop = new boolean[1];
        Thread source = new Thread(() -> {
            try (KafkaProducer<byte[], byte[]> producer = Client.producer()) {
                for (int i = 0; !stop[0] || i % 6 != 0; i++) {
                    producer.send(Sample.record(topic, i % 6, i));
                    sent.incrementAndGet();
                    if (i % 50 == 0) {
                        Thread.sleep(5);
                    }
                }
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        });
        source.start();
        Member one = new Member(topic, seen, settings);
        together(6, one);
        Member two = new Member(topic, seen, settings);
        together(6, one, two);
        Member three = new Member(topic, seen, settings);
        together(6, one, two, three);
        two.end();
        together(6, one, three);
        one.end();
        together(6, three);
        stop[0] = true;
        source.join();
        Tap.within("all records are read", () -> {
            int sum = 0;
            for (List<Long> list : seen.values()) {
                sum += list.size();
            }
            return sum >= sent.get();
        });
        three.end();
        for (int p = 0; p < 6; p++) {
            List<Long> list = seen.get(p);
            Tap.equal(sent.get() / 6, list.size(), "records of partition " + p);
            for (int i = 0; i < list.size(); i++) {
                Tap.equal((long) i, list.get(i), "order over the members, partition " + p);
            }
        }
        Map<TopicPartition, OffsetAndMetadata> committed = Client.admin.listConsumerGroupOffsets(topic)
            .partitionsToOffsetAndMetadata().get();
        for (int p = 0; p < 6; p++) {
            Tap.equal((long) (sent.get() / 6), committed.get(Client.at(topic, p)).offset(), "committed " + p);
        }
    }

    private static Object[] member(String group, String instance) {
        return new Object[] {"group.id", group, "group.instance.id", instance, ASSIGNOR, PACKAGE + "RangeAssignor"};
    }

    private static void staticMember() throws Exception {
        String topic = Client.topic("static", 4);
        Map<Integer, List<Long>> seen = new ConcurrentHashMap<>();
        Member one = new Member(topic, seen, member(topic, "one"));
        together(4, one);
        Member two = new Member(topic, seen, member(topic, "two"));
        together(4, one, two);
        Set<Integer> before = new HashSet<>(two.owned);
        int revocations = one.revocations.get();
        two.end();
        two = new Member(topic, seen, member(topic, "two"));
        together(4, one, two);
        Tap.equal(before, new HashSet<>(two.owned), "assignment after the restart");
        Tap.equal(revocations, one.revocations.get(), "rebalances that the other member saw");
        Set<String> instances = new TreeSet<>();
        group(topic).members().forEach(m -> instances.add(m.groupInstanceId().orElse("none")));
        Tap.equal(new TreeSet<>(Arrays.asList("one", "two")), instances, "instance ids described");
        one.end();
        two.end();
        Tap.equal(2, group(topic).members().size(), "static members stay after close");
        Client.admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions(
            Arrays.asList(new MemberToRemove("one"), new MemberToRemove("two")))).all().get();
        Tap.within("group is empty", () -> group(topic).members().isEmpty());
    }

    private static void fenced() throws Exception {
        String topic = Client.topic("fenced", 1);
        Map<Integer, List<Long>> seen = new ConcurrentHashMap<>();
        Member one = new Member(topic, seen, member(topic, "same"));
        together(1, one);
        Member two = new Member(topic, seen, member(topic, "same"));
        Tap.within("the first member is fenced", () -> one.error != null);
        Tap.equal("FencedInstanceIdException", one.error.getClass().getSimpleName(), "error of the first");
        together(1, two);
        two.end();
    }

    private static void expelled() throws Exception {
        String topic = Client.topic("expelled", 2);
        Map<Integer, List<Long>> seen = new ConcurrentHashMap<>();
        String session = "session.timeout.ms";
        Member silent = new Member(topic, seen, "group.id", topic, "group.instance.id", "silent",
            session, 6000, ASSIGNOR, PACKAGE + "RangeAssignor");
        together(2, silent);
        Member other = new Member(topic, seen, "group.id", topic, ASSIGNOR, PACKAGE + "RangeAssignor");
        together(2, silent, other);
        long start = System.nanoTime(); // its session goes on for 6 s from its last request, which is still to come
        silent.end();
        Tap.within("the other has all", () -> other.owned.size() == 2);
        long ms = (System.nanoTime() - start) / 1_000_000;
        Tap.truth(ms > 4000, "not before the session's end: " + ms + " ms");
        other.end();
    }

    private static void resume() throws Exception {
        String topic = Client.filled("resume", 1, 100);
        TopicPartition tp = Client.at(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic, "max.poll.records", 10)) {
            consumer.subscribe(Collections.singleton(topic));
            List<ConsumerRecord<byte[], byte[]>> got = Client.read(consumer, 10);
            Sample.check(got.get(9), 9, 9);
            consumer.commitSync(Collections.singletonMap(tp, new OffsetAndMetadata(37, "mark é")));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic)) {
            consumer.subscribe(Collections.singleton(topic));
            Sample.check(Client.read(consumer, 63).get(0), 37, 37);
            OffsetAndMetadata committed = consumer.committed(Collections.singleton(tp)).get(tp);
            Tap.equal(37L, committed.offset(), "committed offset");
            Tap.equal("mark é", committed.metadata(), "metadata");
            consumer.commitSync();
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic)) {
            consumer.subscribe(Collections.singleton(topic));
            Tap.within("assignment", () -> {
                consumer.poll(Duration.ofMillis(50));
                return !consumer.assignment().isEmpty();
            });
            Tap.equal(100L, consumer.position(tp), "position after the last commit");
        }
    }

    private static void autoCommit() throws Exception {
        String topic = Client.filled("auto-commit", 1, 50);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic,
                "enable.auto.commit", "true", "auto.commit.interval.ms", 100)) {
            consumer.subscribe(Collections.singleton(topic));
            Client.read(consumer, 50);
        }
        Tap.equal(50L, Client.admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get()
            .get(Client.at(topic, 0)).offset(), "offset committed on close");
    }

    private static void simpleGroup() throws Exception {
        String topic = Client.filled("simple", 1, 10);
        TopicPartition tp = Client.at(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic)) {
            consumer.assign(Collections.singleton(tp));
            Tap.equal(null, consumer.committed(Collections.singleton(tp)).get(tp), "nothing committed");
            consumer.commitSync(Collections.singletonMap(tp, new OffsetAndMetadata(4)));
            Tap.equal(4L, consumer.committed(Collections.singleton(tp)).get(tp).offset(), "committed");
        }
        Tap.equal("Empty", group(topic).state().toString(), "state");
        Tap.equal(true, group(topic).isSimpleConsumerGroup(), "simple");
    }

    private static void staleCommit() throws Exception {
        String topic = Client.filled("stale", 1, 10);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic,
                "heartbeat.interval.ms", 3000)) {
            consumer.subscribe(Collections.singleton(topic));
            Client.read(consumer, 10);
            Client.admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions())
                .all().get();
            Tap.fails("CommitFailedException|RebalanceInProgressException", () -> {
                consumer.commitSync();
                return null;
            });
            Tap.within("member joins again", () -> {
                consumer.poll(Duration.ofMillis(50));
                return !consumer.assignment().isEmpty() && group(topic).members().size() == 1;
            });
        }
    }

    private static void pattern() throws Exception {
        String first = Client.filled("pattern-a", 1, 5);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", first,
                "metadata.max.age.ms", 300)) {
            consumer.subscribe(Pattern.compile(Client.prefix + "-pattern-[ab]"));
            Client.read(consumer, 5);
            consumer.commitSync();
            String second = Client.filled("pattern-b", 1, 5);
            for (ConsumerRecord<byte[], byte[]> got : Client.read(consumer, 5)) {
                Tap.equal(second, got.topic(), "topic");
            }
        }
    }

    private static void resubscribe() throws Exception {
        String first = Client.filled("resub-a", 1, 5);
        String second = Client.filled("resub-b", 2, 5);
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", first)) {
            consumer.subscribe(Collections.singleton(first));
            Client.read(consumer, 5);
            consumer.subscribe(Collections.singleton(second));
            Client.read(consumer, 10);
            Tap.equal(2, consumer.assignment().size(), "partitions after the change");
            consumer.unsubscribe();
            Tap.within("group is empty", () -> group(first).members().isEmpty());
        }
    }

    private static ConsumerGroupDescription group(String name) throws Exception {
        return Client.admin.describeConsumerGroups(Collections.singleton(name)).all().get().get(name);
    }

    private static void describe() throws Exception {
        String topic = Client.topic("described-group", 2);
        Member one = new Member(topic, new ConcurrentHashMap<>(), "group.id", topic, "client.id", "teller",
            ASSIGNOR, PACKAGE + "RangeAssignor");
        together(2, one);
        Tap.within("stable", () -> group(topic).state().toString().equals("Stable"));
        ConsumerGroupDescription got = group(topic);
        Tap.equal("range", got.partitionAssignor(), "assignor");
        Tap.equal(false, got.isSimpleConsumerGroup(), "simple");
        Tap.equal(1, got.members().size(), "members");
        got.members().forEach(m -> {
            Tap.equal("teller", m.clientId(), "client id");
            Tap.truth(m.consumerId().startsWith("teller-"), "member id " + m.consumerId());
            Tap.equal("/127.0.0.1", m.host(), "host");
            Tap.equal(new HashSet<>(Arrays.asList(Client.at(topic, 0), Client.at(topic, 1))),
                m.assignment().topicPartitions(), "assignment");
        });
        boolean listed = false;
        for (ConsumerGroupListing group : Client.admin.listConsumerGroups().all().get()) {
            listed |= group.groupId().equals(topic);
        }
        Tap.truth(listed, "group is listed");
        one.end();
        Tap.within("empty", () -> group(topic).state().toString().equals("Empty"));
        if (Client.MAJOR >= 4) {
            Tap.fails("GroupIdNotFoundException", () -> group(topic + "-no"));
        } else {
            Tap.equal("Dead", group(topic + "-no").state().toString(), "state of an unknown group");
        }
    }

    private static void delete() throws Exception {
        String topic = Client.topic("deleted-group", 1);
        Member one = new Member(topic, new ConcurrentHashMap<>(), "group.id", topic);
        together(1, one);
        Tap.fails("GroupNotEmptyException", () -> Client.admin.deleteConsumerGroups(
            Collections.singleton(topic)).all().get());
        one.end();
        Tap.within("empty", () -> group(topic).members().isEmpty());
        Client.admin.deleteConsumerGroups(Collections.singleton(topic)).all().get();
        for (ConsumerGroupListing group : Client.admin.listConsumerGroups().all().get()) {
            Tap.truth(!group.groupId().equals(topic), "deleted group is not listed");
        }
        Tap.fails("GroupIdNotFoundException", () -> Client.admin.deleteConsumerGroups(
            Collections.singleton(topic)).all().get());
    }

    private static void offsets() throws Exception {
        String topic = Client.filled("offsets", 3, 30);
        Map<TopicPartition, OffsetAndMetadata> set = new HashMap<>();
        for (int p = 0; p < 3; p++) {
            set.put(Client.at(topic, p), new OffsetAndMetadata(10 + p, "m" + p));
        }
        Client.admin.alterConsumerGroupOffsets(topic, set).all().get();
        Map<TopicPartition, OffsetAndMetadata> got = Client.admin.listConsumerGroupOffsets(topic)
            .partitionsToOffsetAndMetadata().get();
        Tap.equal(set, got, "offsets listed");
        Client.admin.deleteConsumerGroupOffsets(topic, Collections.singleton(Client.at(topic, 1))).all().get();
        got = Client.admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
        set.remove(Client.at(topic, 1));
        Tap.equal(set, got, "offsets after delete");
        try (KafkaConsumer<byte[], byte[]> consumer = Client.consumer("group.id", topic)) {
            consumer.subscribe(Collections.singleton(topic));
            Client.read(consumer, 20 + 30 + 18);
            Tap.fails("UnknownMemberIdException", () -> Client.admin.alterConsumerGroupOffsets(topic,
                Collections.singletonMap(Client.at(topic, 0), new OffsetAndMetadata(1))).all().get());
            Tap.fails("GroupSubscribedToTopicException", () -> Client.admin.deleteConsumerGroupOffsets(topic,
                Collections.singleton(Client.at(topic, 0))).partitionResult(Client.at(topic, 0)).get());
        }
    }
}
