// SPDX-License-Identifier: MIT

// The franz-go client against a broker: main BOOTSTRAP PREFIX, results as TAP. The sample records
// are those of ../java/Sample.java.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	count    = 300
	baseTime = 1_600_000_000_000
)

var (
	bootstrap, prefix string
	admin             *kadm.Client
	ctx               = context.Background()
)

func client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond)}
	cl, err := kgo.NewClient(append(base, options...)...)
	must(err)
	return cl
}

func ptr(text string) *string { return &text }

func createIn(full string, partitions int32, configs map[string]*string) string {
	if configs == nil {
		configs = map[string]*string{}
	}
	configs["retention.ms"] = ptr("-1")
	_, err := admin.CreateTopic(ctx, partitions, 1, configs, full)
	must(err)
	within(full+" is served", func() bool {
		ends, err := admin.ListEndOffsets(ctx, full)
		return err == nil && ends.Error() == nil && len(ends[full]) == int(partitions)
	})
	return full
}

func create(name string, partitions int32) string {
	return createIn(prefix+"-"+name, partitions, nil)
}

// The sample records.

func sample(topic string, partition int32, i int) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: partition, Timestamp: time.UnixMilli(baseTime + int64(i)*1000)}
	if i%7 != 0 {
		r.Key = fmt.Appendf(nil, "key-%d", i)
	}
	if i%11 != 0 || i%7 == 0 {
		r.Value = append(fmt.Appendf(nil, "value-%d-", i), bytes.Repeat([]byte{'a' + byte(i%26)}, i*37%500)...)
	}
	if i%3 == 0 {
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Appendf(nil, "%d", i)},
			{Key: "n", Value: []byte("again")}, {Key: "empty", Value: []byte{}}}
	}
	return r
}

func check(got *kgo.Record, i int) {
	want := sample(got.Topic, got.Partition, i)
	where := fmt.Sprintf("%s@%d ", got.Topic, got.Offset)
	equal(int64(i), got.Offset, where+"offset")
	equal(want.Timestamp.UnixMilli(), got.Timestamp.UnixMilli(), where+"timestamp")
	equal(0, got.Attrs.TimestampType(), where+"timestamp type")
	equalBytes(want.Key, got.Key, where+"key")
	equalBytes(want.Value, got.Value, where+"value")
	equal(len(want.Headers), len(got.Headers), where+"headers")
	for h := range want.Headers {
		equal(want.Headers[h].Key, got.Headers[h].Key, where+"header key")
		truth(bytes.Equal(want.Headers[h].Value, got.Headers[h].Value), "%sheader value", where)
	}
}

func send(topic string, from, to int, options ...kgo.Opt) []*kgo.Record {
	cl := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer cl.Close()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, sample(topic, 0, i))
	}
	must(cl.ProduceSync(ctx, records...).FirstErr())
	return records
}

func filled(name string, n int) string {
	topic := create(name, 1)
	send(topic, 0, n)
	return topic
}

func read(cl *kgo.Client, n int) []*kgo.Record {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n {
		fetches := cl.PollFetches(limit)
		must(fetches.Err())
		got = append(got, fetches.Records()...)
	}
	equal(n, len(got), "records read")
	return got
}

func readFrom(topic string, n int, offset kgo.Offset, options ...kgo.Opt) []*kgo.Record {
	cl := client(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: offset}}))...)
	defer cl.Close()
	return read(cl, n)
}

// Cases: data.

func codec(codec kgo.CompressionCodec, name string) {
	topic := createIn("data-"+prefix+"-"+name, 1, nil)
	for i, r := range send(topic, 0, count, kgo.ProducerBatchCompression(codec)) {
		equal(int64(i), r.Offset, "offset in the reply")
	}
	for i, r := range readFrom(topic, count, kgo.NewOffset().AtStart()) {
		check(r, i)
	}
}

func acks(acks kgo.Acks, name string) {
	topic := create("acks-"+name, 1)
	send(topic, 0, count, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	for i, r := range readFrom(topic, count, kgo.NewOffset().AtStart()) {
		check(r, i)
	}
}

func large() {
	topic := create("large", 1)
	noise := make([]byte, 1_100_000)
	rand.New(rand.NewSource(1)).Read(noise)
	cl := client(kgo.ProducerBatchMaxBytes(3_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: noise[:1_000_000]}).FirstErr())
	err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: noise}).FirstErr()
	truth(errors.Is(err, kerr.MessageTooLarge), "a record over the limit gave %v", err)
	got := readFrom(topic, 1, kgo.NewOffset().AtStart(), kgo.FetchMaxPartitionBytes(5000))
	truth(bytes.Equal(noise[:1_000_000], got[0].Value), "large value")
}

func positions() {
	topic := filled("positions", 100)
	check(readFrom(topic, 58, kgo.NewOffset().At(42))[0], 42)
	check(readFrom(topic, 5, kgo.NewOffset().AtEnd().Relative(-5))[0], 95)
	check(readFrom(topic, 49, kgo.NewOffset().AfterMilli(baseTime+50_500))[0], 51)
	cl := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtEnd()}}))
	defer cl.Close()
	limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	equal(0, len(cl.PollFetches(limit).Records()), "records at the end")
	cancel()
	next := 100
	var got []*kgo.Record
	for len(got) == 0 && next < 200 { // when the client asks for the end is its own affair
		send(topic, next, next+1)
		next++
		limit, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		got = cl.PollFetches(limit).Records()
		cancel()
	}
	truth(len(got) > 0 && got[0].Offset >= 100, "a record from the end on")
	check(got[0], int(got[0].Offset))
	start, err := admin.ListStartOffsets(ctx, topic)
	must(err)
	end, err := admin.ListEndOffsets(ctx, topic)
	must(err)
	equal(0, start[topic][0].Offset, "start")
	equal(int64(next), end[topic][0].Offset, "end")
	newest, err := admin.ListMaxTimestampOffsets(ctx, topic)
	must(err)
	equal(int64(next-1), newest[topic][0].Offset, "offset of the newest timestamp")
}

func outOfRange() {
	topic := filled("range", 10)
	cl := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(500)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer cl.Close()
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := cl.PollFetches(limit).Err()
	truth(errors.Is(err, kerr.OffsetOutOfRange), "expected OFFSET_OUT_OF_RANGE, got %v", err)
}

// Cases: groups.

// A member reads in its own goroutine; it commits before it gives partitions away.
type member struct {
	cl      *kgo.Client
	mutex   sync.Mutex
	owned   map[int32]bool
	revoked atomic.Int32
	done    chan struct{}
}

type seen struct {
	mutex   sync.Mutex
	offsets map[int32][]int64
	total   int
}

func join(topic string, seen *seen, options ...kgo.Opt) *member {
	m := &member{owned: map[int32]bool{}, done: make(chan struct{})}
	base := []kgo.Opt{kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.SessionTimeout(30 * time.Second), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, won map[string][]int32) { m.mark(won[topic], true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, lost map[string][]int32) {
			m.revoked.Add(1)
			m.mark(lost[topic], false)
			cl.CommitUncommittedOffsets(ctx)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { m.mark(lost[topic], false) })}
	m.cl = client(append(base, options...)...)
	go m.run(seen)
	return m
}

func (m *member) mark(partitions []int32, owned bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, p := range partitions {
		if owned {
			m.owned[p] = true
		} else {
			delete(m.owned, p)
		}
	}
}

func (m *member) run(seen *seen) {
	defer close(m.done)
	for {
		fetches := m.cl.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		seen.mutex.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			seen.offsets[r.Partition] = append(seen.offsets[r.Partition], r.Offset)
			seen.total++
		})
		seen.mutex.Unlock()
		m.cl.AllowRebalance()
	}
}

func (m *member) partitions() map[int32]bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	copied := map[int32]bool{}
	for p := range m.owned {
		copied[p] = true
	}
	return copied
}

func (m *member) end() {
	m.cl.CloseAllowingRebalance()
	<-m.done
}

func together(partitions int, members ...*member) {
	within(fmt.Sprintf("%d members share %d partitions", len(members), partitions), func() bool {
		all := map[int32]bool{}
		for _, m := range members {
			mine := m.partitions()
			for p := range mine {
				all[p] = true
			}
			if len(mine) != partitions/len(members) {
				return false
			}
		}
		return len(all) == partitions
	})
}

func rebalance(balancer kgo.GroupBalancer) {
	topic := create("group-"+balancer.ProtocolName(), 6)
	seen := &seen{offsets: map[int32][]int64{}}
	var sent atomic.Int64
	var stop atomic.Bool
	finished := make(chan error)
	go func() {
		cl := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer cl.Close()
		for !stop.Load() || sent.Load()%6 != 0 {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(sent.Load() % 6), Value: []byte("x")}, nil)
			if sent.Add(1)%20 == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
		finished <- cl.Flush(ctx)
	}()
	one := join(topic, seen, kgo.Balancers(balancer))
	together(6, one)
	two := join(topic, seen, kgo.Balancers(balancer))
	together(6, one, two)
	three := join(topic, seen, kgo.Balancers(balancer))
	together(6, one, two, three)
	one.end()
	together(6, two, three)
	stop.Store(true)
	must(<-finished)
	within("all is read", func() bool {
		seen.mutex.Lock()
		defer seen.mutex.Unlock()
		return seen.total >= int(sent.Load())
	})
	two.end()
	three.end()
	for p := range int32(6) {
		equal(int(sent.Load()/6), len(seen.offsets[p]), fmt.Sprint("records of partition ", p))
		for i, offset := range seen.offsets[p] {
			equal(int64(i), offset, "order over the members")
		}
	}
}

func staticMember() {
	topic := create("static", 4)
	seen := &seen{offsets: map[int32][]int64{}}
	one := join(topic, seen, kgo.InstanceID("one"), kgo.Balancers(kgo.RangeBalancer()))
	together(4, one)
	two := join(topic, seen, kgo.InstanceID("two"), kgo.Balancers(kgo.RangeBalancer()))
	together(4, one, two)
	before, revoked := two.partitions(), one.revoked.Load()
	two.end()
	two = join(topic, seen, kgo.InstanceID("two"), kgo.Balancers(kgo.RangeBalancer()))
	together(4, one, two)
	equal(fmt.Sprint(before), fmt.Sprint(two.partitions()), "assignment after the restart")
	equal(revoked, one.revoked.Load(), "rebalances that the other saw")
	one.end()
	two.end()
}

func resume() {
	topic := filled("resume", 50)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 20, LeaderEpoch: -1, Metadata: "mark"})
	must(admin.CommitAllOffsets(ctx, topic, offsets))
	cl := client(kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic))
	check(read(cl, 30)[0], 20)
	must(cl.CommitUncommittedOffsets(ctx))
	cl.Close()
	got, err := admin.FetchOffsets(ctx, topic)
	must(err)
	equal(50, got[topic][0].At, "committed")
}

// Cases: admin.

func topics() {
	topic := create("admin", 2)
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	truth(errors.Is(err, kerr.TopicAlreadyExists), "created twice: %v", err)
	_, err = admin.CreateTopic(ctx, 1, 3, nil, topic+"-3")
	truth(errors.Is(err, kerr.InvalidReplicationFactor), "replication factor 3: %v", err)
	grown, err := admin.UpdatePartitions(ctx, 5, topic)
	must(err)
	must(grown.Error())
	within("five partitions", func() bool {
		got, err := admin.Metadata(ctx, topic)
		return err == nil && len(got.Topics[topic].Partitions) == 5
	})
	got, err := admin.Metadata(ctx, topic)
	must(err)
	truth(got.Topics[topic].ID != kadm.TopicID{}, "a topic id")
	equal(22, len(got.Cluster), "length of the cluster id")
	_, err = admin.DeleteTopic(ctx, topic)
	must(err)
	within("topic is gone", func() bool {
		list, err := admin.ListTopics(ctx)
		return err == nil && !list.Has(topic)
	})
}

func configOf(topic, key string) string {
	got, err := admin.DescribeTopicConfigs(ctx, topic)
	must(err)
	resource, err := got.On(topic, nil)
	must(err)
	must(resource.Err)
	for _, config := range resource.Configs {
		if config.Key == key {
			return config.MaybeValue()
		}
	}
	return ""
}

func configs() {
	topic := createIn(prefix+"-configs", 1, map[string]*string{"segment.ms": ptr("1234567")})
	equal("1234567", configOf(topic, "segment.ms"), "segment.ms")
	got, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.bytes",
		Value: ptr("5000000")}, {Op: kadm.DeleteConfig, Name: "segment.ms"}}, topic)
	must(err)
	must(got[0].Err)
	within("changed", func() bool { return configOf(topic, "retention.bytes") == "5000000" })
	equal("604800000", configOf(topic, "segment.ms"), "segment.ms after delete")
	got, err = admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.bytes", Value: ptr("6")}}, topic)
	must(err)
	must(got[0].Err)
	within("replaced", func() bool { return configOf(topic, "retention.ms") == "604800000" })
}

func records() {
	topic := filled("records", 60)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 25, LeaderEpoch: -1})
	got, err := admin.DeleteRecords(ctx, offsets)
	must(err)
	equal(25, got[topic][0].LowWatermark, "low watermark")
	check(readFrom(topic, 35, kgo.NewOffset().AtStart())[0], 25)
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	dirs, err := admin.DescribeAllLogDirs(ctx, set)
	must(err)
	size := int64(0)
	dirs.Each(func(dir kadm.DescribedLogDir) { size += dir.Size() })
	truth(size > 500, "size in the log directories: %d", size)
}

func groups() {
	topic := create("groups", 2)
	m := join(topic, &seen{offsets: map[int32][]int64{}}, kgo.ClientID("teller"), kgo.Balancers(kgo.RangeBalancer()))
	together(2, m)
	got, err := admin.DescribeGroups(ctx, topic)
	must(err)
	equal("Stable", got[topic].State, "state")
	equal("range", got[topic].Protocol, "protocol")
	equal("teller", got[topic].Members[0].ClientID, "client id")
	m.end()
	list, err := admin.ListGroups(ctx)
	must(err)
	truth(list[topic].Group == topic, "the group is listed")
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 7, LeaderEpoch: -1})
	offsets.Add(kadm.Offset{Topic: topic, Partition: 1, At: 8, LeaderEpoch: -1})
	must(admin.CommitAllOffsets(ctx, topic, offsets))
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	deleted, err := admin.DeleteOffsets(ctx, topic, set)
	must(err)
	must(deleted.Error())
	left, err := admin.FetchOffsets(ctx, topic)
	must(err)
	equal(1, len(left[topic]), "offsets after delete")
	equal(8, left[topic][1].At, "the other offset")
	_, err = admin.DeleteGroup(ctx, topic)
	must(err)
	_, err = admin.DeleteGroup(ctx, topic)
	truth(errors.Is(err, kerr.GroupIDNotFound), "deleted twice: %v", err)
}

func main() {
	bootstrap, prefix = os.Args[1], os.Args[2]
	admin = kadm.NewClient(client())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			fmt.Println("#", dep.Path, dep.Version)
		}
	}
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		test("produce "+name+" idempotent, read back", func() { codec(codecs[name], name) })
	}
	test("produce acks=0", func() { acks(kgo.NoAck(), "0") })
	test("produce acks=1", func() { acks(kgo.LeaderAck(), "1") })
	test("produce acks=all", func() { acks(kgo.AllISRAcks(), "all") })
	test("large records, and too large", large)
	test("consume from start, end, offset, time", positions)
	test("offset out of range", outOfRange)
	test("rebalance in mid-stream, range", func() { rebalance(kgo.RangeBalancer()) })
	test("rebalance in mid-stream, sticky", func() { rebalance(kgo.StickyBalancer()) })
	test("rebalance in mid-stream, cooperative-sticky", func() { rebalance(kgo.CooperativeStickyBalancer()) })
	test("static member restarts without a rebalance", staticMember)
	test("committed offsets are resumed", resume)
	test("admin: topics, partitions", topics)
	test("admin: configs", configs)
	test("admin: delete records, log dirs", records)
	test("admin: groups and their offsets", groups)
	fmt.Printf("1..%d\n", cases)
	if failed > 0 {
		os.Exit(1)
	}
}
