// SPDX-License-Identifier: MIT
//
// suite.js BOOTSTRAP PREFIX: KafkaJS against a broker, results as TAP.
'use strict';

const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes, PartitionAssigners } = require('kafkajs');
const { COUNT, TIME, PATIENCE_MS, test, finish, truth, equal, fails, within, sample, check } = require('./tap.js');
require('./codecs.js').install();

const [bootstrap, prefix] = process.argv.slice(2, 4);
const kafka = new Kafka({
  clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 }, requestTimeout: 60000,
});
const admin = kafka.admin();

async function create(name, partitions, configs, begin = prefix) {
  const topic = `${begin}-${name}`;
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: partitions, replicationFactor: 1,
      configEntries: [{ name: 'retention.ms', value: '-1' }, ...(configs || [])] }],
  });
  await within(`${topic} is served`, async () => {
    try {
      return (await admin.fetchTopicOffsets(topic)).length === partitions;
    } catch (error) {
      return false;
    }
  });
  return topic;
}

async function send(topic, from, to, settings = {}, more = {}) {
  const producer = kafka.producer(settings);
  await producer.connect();
  try {
    const messages = [];
    for (let i = from; i < to; i++) messages.push(sample(i));
    return await producer.send({ topic, messages, ...more });
  } finally {
    await producer.disconnect();
  }
}

async function filled(name, count) {
  const topic = await create(name, 1);
  await send(topic, 0, count);
  return topic;
}

function consumer(groupId, settings = {}) {
  return kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 200, sessionTimeout: 30000,
    rebalanceTimeout: 30000, metadataMaxAge: 1000, ...settings });
}

// Reads count messages from an offset (a string) or from where the group is; returns them.
async function read(topic, count, { group = `${topic}-read`, offset, fromBeginning = true, settings } = {}) {
  const reader = consumer(group, settings);
  const got = [];
  await reader.connect();
  try {
    await reader.subscribe({ topic, fromBeginning });
    const full = new Promise((resolve) => {
      reader.run({
        autoCommitThreshold: 1,
        eachMessage: async ({ message }) => {
          if (got.length < count) got.push(message);
          if (got.length === count) resolve();
        },
      });
    });
    if (offset !== undefined) reader.seek({ topic, partition: 0, offset });
    let timer;
    await Promise.race([full, new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${got.length} of ${count} records read`)), PATIENCE_MS);
    })]);
    clearTimeout(timer);
  } finally {
    await reader.disconnect();
  }
  return got;
}

async function codec(name, type) {
  const topic = await create(name, 1, [], `data-${prefix}`);
  const [reply] = await send(topic, 0, COUNT, { idempotent: true, maxInFlightRequests: 1 }, { compression: type });
  equal('0', reply.baseOffset, 'offset in the reply');
  (await read(topic, COUNT)).forEach(check);
}

async function acks(how) {
  const topic = await create(`acks${how}`, 1);
  await send(topic, 0, COUNT, {}, { acks: how });
  (await read(topic, COUNT)).forEach(check);
}

async function large() {
  const topic = await create('large', 1);
  const value = Buffer.alloc(1000000);
  for (let i = 0; i < value.length; i++) value[i] = (i * 2654435761) >>> 13;
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value }] });
  await fails('MESSAGE_TOO_LARGE', () => producer.send({ topic,
    messages: [{ value: Buffer.concat([value, value.subarray(0, 100000)]) }] }));
  await producer.disconnect();
  equal(value, (await read(topic, 1))[0].value, 'large value');
}

async function positions() {
  const topic = await filled('positions', 100);
  check((await read(topic, 58, { offset: '42' }))[0], 42);
  equal([{ partition: 0, offset: '100', high: '100', low: '0' }], await admin.fetchTopicOffsets(topic), 'offsets');
  equal([{ partition: 0, offset: '51' }], await admin.fetchTopicOffsetsByTimestamp(topic, TIME + 50500), 'by time');
  const reader = consumer(`${topic}-end`);
  let first;
  await reader.connect();
  await reader.subscribe({ topic, fromBeginning: false });
  const joined = new Promise((resolve) => reader.on(reader.events.FETCH, resolve));
  await reader.run({ eachMessage: async ({ message }) => { first = first || message; } });
  await joined;
  await send(topic, 100, 103);
  await within('a record after the end', () => first);
  await reader.disconnect();
  check(first, 100);
}

// A group member: what it owns, and which offsets it has seen.
async function join(topic, seen, settings) {
  const member = { owned: [], joins: 0, reader: consumer(topic, settings) };
  member.reader.on(member.reader.events.GROUP_JOIN, ({ payload }) => {
    member.owned = payload.memberAssignment[topic] || [];
    member.joins++;
  });
  await member.reader.connect();
  await member.reader.subscribe({ topic, fromBeginning: true });
  await member.reader.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => { seen.push(`${partition}@${message.offset}`); },
  });
  return member;
}

function together(partitions, ...members) {
  return within(`${members.length} members share ${partitions} partitions`, () =>
    new Set(members.flatMap((member) => member.owned)).size === partitions
    && members.every((member) => member.owned.length === partitions / members.length));
}

async function rebalance() {
  const topic = await create('group', 6);
  const seen = [];
  const settings = { partitionAssigners: [PartitionAssigners.roundRobin] };
  const producer = kafka.producer();
  await producer.connect();
  let sent = 0;
  let stop = false;
  const source = (async () => {
    while (!stop) {
      const messages = [];
      for (let i = 0; i < 12; i++) messages.push({ value: 'x', partition: i % 6 });
      await producer.send({ topic, messages });
      sent += 12;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  const one = await join(topic, seen, settings);
  await together(6, one);
  const two = await join(topic, seen, settings);
  await together(6, one, two);
  await one.reader.disconnect();
  await together(6, two);
  stop = true;
  await source;
  await within('all is read', () => new Set(seen).size === sent);
  await two.reader.disconnect();
  await producer.disconnect();
  const committed = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
  equal(6, committed[0].partitions.filter((p) => Number(p.offset) === sent / 6).length, 'partitions committed');
}

async function resume() {
  const topic = await filled('resume', 50);
  await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: '20' }] });
  check((await read(topic, 30, { group: topic }))[0], 20);
  equal('50', (await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0].partitions[0].offset, 'committed');
}

async function topics() {
  const topic = await create('admin', 2);
  equal(false, await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }), 'created twice');
  await fails('INVALID_REPLICATION_FACTOR', () => admin.createTopics({
    topics: [{ topic: `${topic}-3`, numPartitions: 1, replicationFactor: 3 }] }));
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
  await within('four partitions', async () =>
    (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 4);
  await admin.deleteTopics({ topics: [topic] });
  await within('topic is gone', async () => !(await admin.listTopics()).includes(topic));
  const cluster = await admin.describeCluster();
  equal(22, cluster.clusterId.length, 'length of the cluster id');
  equal([bootstrap], cluster.brokers.map((one) => `${one.host}:${one.port}`), 'brokers');
}

async function configs() {
  const topic = await create('configs', 1, [{ name: 'segment.ms', value: '1234567' }]);
  const of = async (key) => (await admin.describeConfigs({ resources: [
    { type: ConfigResourceTypes.TOPIC, name: topic }] })).resources[0].configEntries
    .find((entry) => entry.configName === key).configValue;
  equal('1234567', await of('segment.ms'), 'segment.ms');
  await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic,
    configEntries: [{ name: 'retention.bytes', value: '7000000' }] }] });
  await within('replaced', async () => (await of('retention.bytes')) === '7000000');
  equal('604800000', await of('segment.ms'), 'segment.ms after the replacement');
}

async function records() {
  const topic = await filled('records', 60);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '25' }] });
  equal('25', (await admin.fetchTopicOffsets(topic))[0].low, 'low watermark');
  check((await read(topic, 35))[0], 25);
}

async function groups() {
  const topic = await create('groups', 2);
  const member = await join(topic, [], { partitionAssigners: [PartitionAssigners.roundRobin] });
  await together(2, member);
  const { groups: [got] } = await admin.describeGroups([topic]);
  equal(['Stable', 'consumer', 1], [got.state, got.protocolType, got.members.length], 'group');
  truth((await admin.listGroups()).groups.some((one) => one.groupId === topic), 'the group is listed');
  await fails('NON_EMPTY_GROUP', () => admin.deleteGroups([topic]));
  await member.reader.disconnect();
  await admin.deleteGroups([topic]);
  truth(!(await admin.listGroups()).groups.some((one) => one.groupId === topic), 'the group is gone');
}

async function main() {
  console.log('# KafkaJS', require('kafkajs/package.json').version, 'node', process.version);
  await admin.connect();
  const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
    lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD };
  for (const [name, type] of Object.entries(codecs)) {
    await test(`produce ${name} idempotent, read back`, () => codec(name, type));
  }
  for (const how of [0, 1, -1]) await test(`produce acks=${how}`, () => acks(how));
  await test('large records, and too large', large);
  await test('consume from start, end, offset, time', positions);
  await test('rebalance in mid-stream', rebalance);
  await test('committed offsets are resumed', resume);
  await test('admin: topics, partitions, cluster', topics);
  await test('admin: configs', configs);
  await test('admin: delete records', records);
  await test('admin: groups', groups);
  await admin.disconnect();
  process.exitCode = finish();
  setTimeout(() => process.exit(), 2000).unref();
}

main();
