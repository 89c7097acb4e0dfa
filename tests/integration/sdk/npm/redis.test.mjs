// The unmodified @upstash/redis against the emulator named by the environment.
import assert from "node:assert/strict";
import { once } from "node:events";
import { beforeEach, test } from "node:test";
import { Redis } from "@upstash/redis";

// By default, versions before 1.40 ask for base64 (Upstash-Encoding), and later ones do not.
const redis = Redis.fromEnv({ responseEncoding: process.env.RESPONSE_ENCODING !== "none" });

beforeEach(() => redis.flushdb());

test("values come back as they went", async () => {
  for (const value of ["text", "é😀", 7, true, { a: [1, null, "x"] }, "0012", "123456789012345678901"]) {
    assert.equal(await redis.set("k", value), "OK");
    assert.deepEqual(await redis.get("k"), value);
  }
  assert.equal(await redis.get("none"), null);
});

test("options of set", async () => {
  assert.equal(await redis.set("k", "a", { nx: true, ex: 100 }), "OK");
  assert.equal(await redis.set("k", "b", { nx: true }), null);
  assert.equal(await redis.set("k", "c", { xx: true, get: true }), "a");
  assert.equal(await redis.ttl("k"), -1);
});

test("commands of one tick travel as one pipeline", async () => {
  const results = await Promise.all([redis.set("a", 1), redis.set("b", 2), redis.incr("n")]);
  assert.deepEqual(results, ["OK", "OK", 1]);
  assert.deepEqual(await Promise.all([redis.get("a"), redis.mget("a", "b")]), [1, [1, 2]]);
});

test("pipelines and transactions", async () => {
  const pipeline = redis.pipeline().set("a", "x").get("a").hset("h", { f: { deep: 1 } }).hgetall("h");
  assert.deepEqual(await pipeline.exec(), ["OK", "x", 1, { f: { deep: 1 } }]);
  const kept = await redis.pipeline().incr("h").get("a").exec({ keepErrors: true });
  assert.match(kept[0].error, /WRONGTYPE/);
  assert.equal(kept[1].result, "x");
  assert.deepEqual(await redis.multi().incr("n").incr("n").get("n").exec(), [1, 2, 2]);
});

test("collections", async () => {
  await redis.zadd("z", { score: 1.5, member: "m" });
  assert.deepEqual(await redis.zrange("z", 0, -1, { withScores: true }), ["m", 1.5]);
  await redis.sadd("s", "a", "b");
  assert.deepEqual((await redis.smembers("s")).sort(), ["a", "b"]);
  const id = await redis.xadd("stream", "*", { field: "value" });
  assert.deepEqual(await redis.xrange("stream", "-", "+"), { [id]: { field: "value" } });
});

test("scan walks the keyspace", async () => {
  for (let number = 0; number < 25; number += 1) await redis.set(`key:${number}`, number);
  let cursor = "0";
  const keys = [];
  do {
    const [next, page] = await redis.scan(cursor, { count: 4 });
    keys.push(...page);
    cursor = next;
  } while (cursor !== "0");
  assert.equal(new Set(keys).size, 25);
  const [, typed] = await redis.scan("0", { withType: true, match: "key:1" });
  assert.deepEqual(typed, [{ key: "key:1", type: "string" }]);
});

test("scripts, with and without the key-locking flag", async () => {
  for (const flag of ["", "#!lua flags=allow-key-locking\n"]) {
    const script = redis.createScript(`${flag}return redis.call('INCRBY', KEYS[1], ARGV[1])`);
    assert.equal(await script.exec(["n"], ["2"]), 2);
    assert.equal(await script.exec(["n"], ["2"]), 4);
    await redis.del("n");
  }
});

test("a subscriber hears messages", async () => {
  const subscriber = redis.subscribe("chat");
  await once(emitter(subscriber), "subscribe");
  const received = once(emitter(subscriber), "message");
  assert.equal(await redis.publish("chat", { hello: "world" }), 1);
  const [{ channel, message }] = await received;
  assert.deepEqual([channel, message], ["chat", { hello: "world" }]);
  await subscriber.unsubscribe();
});

test("a pattern subscriber hears messages", async () => {
  const subscriber = redis.psubscribe("user:*");
  await once(emitter(subscriber), "psubscribe");
  const received = once(emitter(subscriber), "pmessage");
  await redis.publish("user:7", { id: 7 });
  const [{ pattern, channel, message }] = await received;
  assert.deepEqual([pattern, channel, message], ["user:*", "user:7", { id: 7 }]);
  await subscriber.unsubscribe();
});

test("a write moves the sync token", async () => {
  const fresh = Redis.fromEnv();
  await fresh.get("k");
  const before = fresh.readYourWritesSyncToken;
  await fresh.set("k", "v");
  assert.notEqual(fresh.readYourWritesSyncToken, before);
});

test("errors are the SDK's own", async () => {
  await redis.lpush("l", "x");
  await assert.rejects(redis.incr("l"), { name: "UpstashError", message: /WRONGTYPE/ });
  const stranger = new Redis({ url: process.env.UPSTASH_REDIS_REST_URL, token: "wrong" });
  await assert.rejects(stranger.get("k"), { message: /WRONGPASS invalid or missing auth token/ });
});

// The SDK's subscriber has on() but not once(); events.once needs both.
function emitter(subscriber) {
  return {
    once: (event, listener) => subscriber.on(event, listener),
    on: (event, listener) => subscriber.on(event, listener),
    removeListener: () => {},
  };
}
