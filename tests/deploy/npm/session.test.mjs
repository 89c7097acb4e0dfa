// readSession, compiled to the file that DJANGO_SESSION names, on sessions that Django has stored.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "@upstash/redis";

const { readSession } = await import(process.env.DJANGO_SESSION);
const redis = new Redis({
  url: process.env.UPSTASH_REDIS_REST_URL,
  token: process.env.UPSTASH_REDIS_REST_TOKEN,
  automaticDeserialization: false,
});
const sessions = JSON.parse(process.env.SESSIONS);
const [[userKey]] = sessions;
const secret = process.env.DJANGO_SECRET_KEY;
const keyPrefix = "mysite-sessions";

function read(sessionKey, secretKeys = [secret]) {
  const headers = { Cookie: `csrftoken=x; sessionid=${sessionKey}` };
  return readSession(redis, new Request("http://localhost", { headers }), { secretKeys, keyPrefix });
}

/** Return the Redis key and the record of the first session. */
async function findRecord() {
  for (const key of await redis.keys(`continuum:session:${keyPrefix}:*`)) {
    const record = await redis.get(key);
    if (!record.startsWith(".")) return [key, record];
  }
}

test("the content of short and compressed sessions is read", async () => {
  for (const [key, data] of sessions) {
    const session = await read(key);
    assert.deepEqual(session.data, data);
    assert.equal(session.userId, data._auth_user_id ?? null);
  }
  assert((await redis.keys(`continuum:session:${keyPrefix}:*`)).length === 2);
});

test("a session under an older secret key is read", async () => {
  assert.equal((await read(userKey, ["a newer key", secret])).userId, "42");
});

test("a session is not read with another secret key", async () => {
  assert.equal(await read(userKey, ["another key"]), null);
});

test("a request without a session costs no command", async () => {
  const refuse = { get: () => assert.fail("a command was sent") };
  for (const headers of [{}, { Cookie: "sessionid=" }, { Cookie: "sessionid=a:*" }]) {
    const request = new Request("http://localhost", { headers });
    assert.equal(await readSession(refuse, request, { secretKeys: [secret], keyPrefix }), null);
  }
});

test("changed, copied and foreign records are rejected", async () => {
  const [key, record] = await findRecord();
  const [payload, stamp, signature] = record.split(":");
  const forged = Buffer.from('{"_auth_user_id":"1"}').toString("base64url");
  const lastChanged = signature.slice(0, -2) + (signature.at(-2) === "A" ? "B" : "A") + signature.at(-1);
  for (const changed of [
    `${forged}:${stamp}:${signature}`,
    `${payload}:1:${signature}`,
    `${payload}:${stamp}:${lastChanged}`,
    `${payload}:${stamp}`,
    `${record}:x`,
    '{"_auth_user_id":"1"}',
    "",
  ]) {
    await redis.set(key, changed);
    assert.equal(await read(userKey), null, changed);
  }
  await redis.set(key, record);
  assert.equal((await read(userKey)).userId, "42");
  const [[, ], [otherKey]] = sessions;
  const keys = await redis.keys(`continuum:session:${keyPrefix}:*`);
  await redis.set(keys.find((name) => name !== key), record);
  assert.equal(await read(otherKey), null, "a record is valid under its own key only");
});

test("an ended session is not alive", async () => {
  const [key] = await findRecord();
  await redis.del(...(await redis.keys(`continuum:session:${keyPrefix}:*`)));
  assert.equal(await read(userKey), null);
  assert(key);
});
