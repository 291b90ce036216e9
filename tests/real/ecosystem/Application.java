// SPDX-License-Identifier: MIT
//
// Application BOOTSTRAP PREFIX STATE-DIRECTORY: a Kafka Streams application, exactly once. Clicks, keyed
// anew by product (a repartition topic), are joined with the table of products (PREFIX-joined), counted
// for each product (PREFIX-totals) and, keyed anew, for each category and window (PREFIX-windows).
// Caches are off, so each count of each key appears in the output: 1, 2, 3 ... if every record counts once.
// It prints its states; the line "query" is answered with its part of the totals; end of input ends it.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

final class Application {
    private static final Duration WINDOW = Duration.ofSeconds(5);

    private Application() {
    }

    /** A click is keyed by its user and says "product number". */
    private static Topology topology(String prefix) {
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, String> products = builder.table(prefix + "-products", Materialized.as("products"));
        KStream<String, String> clicks = builder.stream(prefix + "-clicks");
        KStream<String, String> joined = clicks.selectKey((user, click) -> click.split(" ")[0])
            .join(products, (click, category) -> click + " " + category);
        joined.to(prefix + "-joined");
        joined.groupByKey().count(Materialized.as("totals"))
            .toStream().mapValues(count -> "" + count).to(prefix + "-totals");
        joined.selectKey((product, click) -> click.split(" ")[2])
            .groupByKey(Grouped.as("by-category"))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, Duration.ofHours(1)))
            .count(Materialized.as("windows"))
            .toStream((window, count) -> window.key() + "@" + window.window().start())
            .mapValues(count -> "" + count).to(prefix + "-windows");
        return builder.build();
    }

    private static Properties settings(String bootstrap, String prefix, String state) {
        Properties settings = new Properties();
        settings.put("application.id", prefix + "-application");
        settings.put("bootstrap.servers", bootstrap);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("state.dir", state);
        settings.put("num.stream.threads", "2");
        settings.put("num.standby.replicas", "1");
        settings.put("statestore.cache.max.bytes", "0");
        settings.put("default.key.serde", Serdes.StringSerde.class.getName());
        settings.put("default.value.serde", Serdes.StringSerde.class.getName());
        settings.put("repartition.purge.interval.ms", "1000");
        settings.put("auto.offset.reset", "earliest");
        // The broker takes no less than six seconds, and so long nobody does the work of the one that was killed.
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "500");
        return settings;
    }

    private static void query(KafkaStreams streams) {
        ReadOnlyKeyValueStore<String, Long> totals = streams.store(
            StoreQueryParameters.fromNameAndType("totals", QueryableStoreTypes.keyValueStore()));
        try (KeyValueIterator<String, Long> all = totals.all()) {
            all.forEachRemaining(entry -> System.out.println("total " + entry.key + " " + entry.value));
        }
        System.out.println("done");
    }

    public static void main(String[] args) throws Exception {
        KafkaStreams streams = new KafkaStreams(topology(args[1]), settings(args[0], args[1], args[2]));
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setUncaughtExceptionHandler(error -> {
            System.out.println("error " + error);
            error.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
                .REPLACE_THREAD;
        });
        streams.start();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            query(streams);
        }
        boolean closed = streams.close(Duration.ofSeconds(20));
        Runtime.getRuntime().halt(closed ? 0 : 1);
    }
}
