// The unmodified @upstash/ratelimit against the emulator named by the environment.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { MultiRegionRatelimit, Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

const redis = Redis.fromEnv();

beforeEach(() => redis.flushdb());

const limiters = {
  fixedWindow: Ratelimit.fixedWindow(3, "1 d"),
  slidingWindow: Ratelimit.slidingWindow(3, "1 d"),
  tokenBucket: Ratelimit.tokenBucket(3, "1 d", 3),
  cachedFixedWindow: Ratelimit.cachedFixedWindow(3, "1 d"),
};

for (const [name, limiter] of Object.entries(limiters)) {
  test(`${name} allows as many requests as its limit`, async () => {
    const ratelimit = new Ratelimit({ redis, limiter, analytics: true, ephemeralCache: new Map() });
    const passed = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const { success, pending } = await ratelimit.limit("user");
      passed.push(success);
      await pending;
    }
    assert.deepEqual(passed, [true, true, true, false, false]);
    assert.equal((await ratelimit.getRemaining("user")).remaining, 0);
    await ratelimit.resetUsedTokens("user");
    assert.equal((await ratelimit.limit("user")).success, true);
  });
}

test("a rate may count for more than one", async () => {
  const ratelimit = new Ratelimit({ redis, limiter: limiters.slidingWindow, ephemeralCache: false });
  assert.equal((await ratelimit.limit("user", { rate: 2 })).remaining, 1);
  assert.equal((await ratelimit.limit("user", { rate: 2 })).success, false);
});

test("several regions agree", async () => {
  const ratelimit = new MultiRegionRatelimit({
    redis: [redis, Redis.fromEnv()],
    limiter: MultiRegionRatelimit.fixedWindow(3, "1 d"),
  });
  const { success, pending } = await ratelimit.limit("user");
  await pending;
  assert.equal(success, true);
});
