// UpstashCache, compiled to the file that UPSTASH_CACHE names, on values that Django has stored.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "@upstash/redis";

const { UnreadableValue, UpstashCache, readDatabase } = await import(process.env.UPSTASH_CACHE);
const database = readDatabase(process.env);
const cache = new UpstashCache({ Redis, ...database, keyPrefix: "shared" });
const written = JSON.parse(process.env.WRITTEN);
const unreadable = JSON.parse(process.env.UNREADABLE);

test("values of Django are read", async () => {
  for (const [key, value] of Object.entries(written)) {
    assert.deepEqual(await cache.get(key), value, key);
  }
  const found = await cache.getMany([...Object.keys(written), "missing"]);
  assert.deepEqual(Object.fromEntries(found), written);
  assert.equal((await cache.getMany([])).size, 0);
  assert.equal(await cache.get("missing"), undefined);
});

for (const [key, reason] of Object.entries(unreadable)) {
  test(`${key} is refused with its reason`, async () => {
    const refusal = (error) => {
      assert(error instanceof UnreadableValue);
      assert.match(error.message, new RegExp(`^shared:1:${key} contains .*${reason}`));
      return true;
    };
    await assert.rejects(cache.get(key), refusal);
    await assert.rejects(cache.getMany(["missing", key]), refusal);
  });
}

test("values are written for Django", async () => {
  for (const [key, value] of Object.entries(written)) await cache.set(`js-${key}`, value);
  await cache.set("lasting", "kept", null);
  await cache.set("brief", "gone soon", 0.5);
});

test("what JSON cannot represent is refused", async () => {
  for (const value of [undefined, NaN, [1, Infinity], { a: undefined }, () => 1, 1n]) {
    await assert.rejects(cache.set("refused", value), TypeError);
  }
  for (const ttl of [0, -1, NaN]) await assert.rejects(cache.set("refused", 1, ttl), RangeError);
  assert.equal(await cache.get("refused"), undefined);
});

test("counters, expiry and deletion", async () => {
  assert.equal(await cache.incr("counter", 2), 44);
  assert.equal(await cache.incr("new-counter"), 1);
  assert.equal(await cache.ttl("new-counter"), -1);
  assert.equal(await cache.ttl("missing"), -2);
  await cache.set("short", 1);
  const ttl = await cache.ttl("short");
  assert(ttl > 290 && ttl <= 300);
  assert.equal(await cache.delete("short"), true);
  assert.equal(await cache.delete("short"), false);
});

test("the variables of Vercel and a prefix are read", () => {
  const variables = { S_KV_REST_API_URL: "https://a", S_KV_REST_API_TOKEN: "b" };
  assert.deepEqual(readDatabase(variables, "S_"), { url: "https://a", token: "b" });
  assert.throws(() => readDatabase(variables), /Set UPSTASH_REDIS_REST_URL/);
});

test("a database that does not respond ends the call", async () => {
  const { createServer } = await import("node:http");
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  const silent = new UpstashCache({ Redis, url, token: "t", keyPrefix: "shared" });
  await assert.rejects(silent.get("greeting"));
  server.closeAllConnections();
  server.close();
});
