// SPDX-License-Identifier: MIT
// nats.js against a server: node node.cjs URL. TAP.
"use strict";
const { connect, headers, createInbox } = require("@nats-io/transport-node");

const text = (m) => new TextDecoder().decode(m.data);
function must(condition, what) {
  if (!condition) throw new Error(what);
}

async function publishSubscribe(nc, other) {
  const sub = nc.subscribe("js.*.x", { max: 1000 });
  await nc.flush();
  for (let n = 0; n < 1000; n++) other.publish(`js.${n % 7}.x`, String(n));
  let n = 0;
  for await (const m of sub) {
    must(text(m) === String(n) && m.subject === `js.${n % 7}.x`, `message ${n} is ${m.subject} ${text(m)}`);
    n++;
  }
  must(n === 1000, `${n} messages`);
}

async function requestReply(nc, other) {
  nc.subscribe("js.svc", { callback: (_, m) => m.respond("re:" + text(m)) });
  await nc.flush();
  for (let n = 0; n < 200; n++) {
    must(text(await other.request("js.svc", String(n), { timeout: 30000 })) === "re:" + n, "the answer");
  }
  must(text(await other.request("js.svc", "x", { timeout: 30000, noMux: true })) === "re:x", "an inbox of its own");
  let error = null;
  try {
    await other.request("js.nobody", "", { timeout: 30000 });
  } catch (e) {
    error = e;
  }
  must(error && /no responders/i.test(String(error.message)), `no responders: ${error}`);
}

async function queue(nc, other) {
  const counts = [0, 0, 0];
  for (let i = 0; i < 3; i++) {
    (i ? nc : other).subscribe("js.q", { queue: "workers", callback: () => counts[i]++ });
  }
  await nc.flush();
  await other.flush();
  for (let n = 0; n < 300; n++) nc.publish("js.q", "x");
  await nc.flush();
  await other.flush();
  must(counts.reduce((a, b) => a + b) === 300 && Math.min(...counts) > 50, `counts ${counts}`);
}

async function headerFields(nc, other) {
  const sub = nc.subscribe("js.h", { max: 1 });
  await nc.flush();
  const h = headers();
  h.append("a", "1");
  h.append("a", "2");
  h.set("Some-Key", "some value");
  other.publish("js.h", "body", { headers: h, reply: createInbox() });
  for await (const m of sub) {
    must(text(m) === "body" && m.headers.get("Some-Key") === "some value", "the headers");
    must(m.headers.values("a").join() === "1,2" && m.reply.startsWith("_INBOX."), "two values and a reply");
  }
}

async function large(nc, other) {
  const size = nc.info.max_payload;
  const sub = nc.subscribe("js.large", { max: 1 });
  await nc.flush();
  other.publish("js.large", new Uint8Array(size).fill(7));
  for await (const m of sub) must(m.data.length === size && m.data.every((b) => b === 7), "a large message");
}

async function drain(nc, other) {
  let n = 0;
  nc.subscribe("js.drain", { callback: () => n++ });
  await nc.flush();
  for (let i = 0; i < 500; i++) other.publish("js.drain", "x");
  await other.flush();
  await nc.drain();
  must(n === 500 && nc.isClosed(), `${n} messages`);
}

async function main() {
  const cases = { publishSubscribe, requestReply, queue, headerFields, large, drain };
  let number = 0;
  let bad = 0;
  for (const [name, run] of Object.entries(cases)) {
    const servers = process.argv[2];
    const nc = await connect({ servers, reconnect: false });
    const other = await connect({ servers, reconnect: false });
    number++;
    try {
      await run(nc, other);
      console.log(`ok ${number} - ${name}`);
    } catch (e) {
      bad++;
      console.log(`not ok ${number} - ${name}\n# ${String(e.stack).replace(/\n/g, "\n# ")}`);
    }
    if (!nc.isClosed()) await nc.close();
    await other.close();
  }
  console.log(`1..${number}`);
  process.exit(bad ? 1 : 0);
}
main();
