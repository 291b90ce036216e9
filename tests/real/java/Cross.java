// SPDX-License-Identifier: MIT
//
// Reads every topic data-* that any client program has left on the broker: all hold the sample
// records, whatever language, codec and message format version wrote them.

import java.util.List;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecord;

final class Cross {
    private Cross() {
    }

    static void run() throws Exception {
        TreeSet<String> topics = new TreeSet<>(Client.admin.listTopics().names().get());
        topics.removeIf(topic -> !topic.startsWith("data-"));
        for (String topic : topics) {
            Tap.test("read " + topic, () -> {
                List<ConsumerRecord<byte[], byte[]>> got = Client.readAll(topic, Sample.COUNT);
                for (int i = 0; i < got.size(); i++) {
                    Sample.check(got.get(i), i, i);
                }
            });
        }
        Tap.test("there was something to read", () -> Tap.truth(!topics.isEmpty(), "no data-* topics"));
    }
}
