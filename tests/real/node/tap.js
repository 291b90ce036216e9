// SPDX-License-Identifier: MIT
//
// TAP output, and the sample records of ../java/Sample.java.
'use strict';

const COUNT = 300;
const TIME = 1600000000000;
const PATIENCE_MS = 60000; // that a busy machine may need for what takes milliseconds
let count = 0;
let failed = 0;

async function test(name, body) {
  if (!name.includes(process.env.ONLY || '')) return;
  count++;
  const start = Date.now();
  try {
    const skip = await body();
    console.log(`ok ${count} - ${name}${skip ? ' # SKIP ' + skip : ''}`);
  } catch (error) {
    failed++;
    const stack = String((error && error.stack) || error).slice(0, 1500);
    console.log(`not ok ${count} - ${name}\n# ${stack.replace(/\n/g, '\n# ')}`);
  }
  const took = (Date.now() - start) / 1000;
  if (took > 1) console.log(`# ${name} took ${took.toFixed(1)} s`);
}

function finish() {
  console.log(`1..${count}`);
  return failed ? 1 : 0;
}

function truth(condition, what) {
  if (!condition) throw new Error(what);
}

function text(value) {
  const all = Buffer.isBuffer(value) ? `${value.length} bytes ${value.subarray(0, 60)}` : JSON.stringify(value);
  return all === undefined ? 'undefined' : all.slice(0, 400);
}

function equal(expected, got, what) {
  const same = Buffer.isBuffer(expected) && Buffer.isBuffer(got) ? expected.equals(got)
    : JSON.stringify(expected) === JSON.stringify(got);
  if (!same) throw new Error(`${what}: expected ${text(expected)}, got ${text(got)}`);
}

async function fails(type, body) {
  try {
    await body();
  } catch (error) {
    const types = [error.type, error.name, ...(error.errors || []).map((one) => one.type),
      ...(error.groups || []).map((one) => one.error && one.error.type),
      ...(error.partitions || []).map((one) => one.error)];
    truth(types.includes(type) || String(error).includes(type), `expected ${type}, got ${types} ${error}`);
    return;
  }
  throw new Error(`expected ${type}, but the call succeeded`);
}

// Waits until a condition holds: for what the protocol makes visible only in time.
async function within(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    truth(Date.now() < end, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function sample(i) {
  const message = {
    key: i % 7 === 0 ? null : Buffer.from(`key-${i}`),
    value: i % 11 === 0 && i % 7 !== 0 ? null : Buffer.concat([Buffer.from(`value-${i}-`),
      Buffer.alloc((i * 37) % 500, 'a'.charCodeAt(0) + (i % 26))]),
    timestamp: String(TIME + i * 1000),
    partition: 0,
  };
  if (i % 3 === 0) message.headers = { n: [String(i), 'again'], empty: '' };
  return message;
}

function check(got, i) {
  const want = sample(i);
  const where = `offset ${got.offset}: `;
  equal(String(i), got.offset, where + 'offset');
  equal(want.timestamp, got.timestamp, where + 'timestamp');
  equal(want.key, got.key, where + 'key');
  equal(want.value, got.value, where + 'value');
  const headers = got.headers || {};
  equal(want.headers ? ['n', 'empty'] : [], Object.keys(headers), where + 'header names');
  if (want.headers) {
    equal(want.headers.n, headers.n.map(String), where + 'repeated header');
    equal('', String(headers.empty), where + 'empty header');
  }
}

module.exports = { COUNT, TIME, PATIENCE_MS, test, finish, truth, equal, fails, within, sample, check };
