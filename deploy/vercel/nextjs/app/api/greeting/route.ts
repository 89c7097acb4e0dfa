// A value and a rate limit that this route shares with the Django site of deploy/project.
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

import { FAIL_FAST, readDatabase, UnreadableValue, UpstashCache } from "@/lib/upstash-cache";

// Created with the first request: `next build` imports this module without secrets.
let cache: UpstashCache | undefined;
let ratelimit: Ratelimit | undefined;

function getCache(): UpstashCache {
  cache ??= new UpstashCache({ Redis, ...readDatabase(process.env), keyPrefix: "shared" });
  return cache;
}

function getRatelimit(): Ratelimit {
  const { SESSIONS_KV_REST_API_URL: kv, SESSIONS_UPSTASH_REDIS_REST_URL: upstash } = process.env;
  ratelimit ??= new Ratelimit({
    redis: new Redis({
      ...readDatabase(process.env, kv || upstash ? "SESSIONS_" : ""),
      ...FAIL_FAST,
    }),
    prefix: "shared-limit", // upstash_prefix of Django's policy
    limiter: Ratelimit.slidingWindow(10, "1 m"), // its algorithm and rate
  });
  return ratelimit;
}

/** Return a response if the client has used up the limit. */
async function refuse(request: Request): Promise<Response | undefined> {
  // Vercel sets this header; a client cannot. Elsewhere, read the header that your proxy sets.
  const address = request.headers.get("x-forwarded-for") ?? "127.0.0.1";
  const { success, reset } = await getRatelimit().limit(address);
  if (success) return undefined;
  const seconds = Math.max(1, Math.ceil((reset - Date.now()) / 1000));
  const headers = { "Retry-After": String(seconds), "Cache-Control": "no-store" };
  return Response.json({ error: "too many requests" }, { status: 429, headers });
}

/** Return the response of a handler within the limit, or 503 while the database is unavailable. */
async function handle(request: Request, respond: () => Promise<Response>): Promise<Response> {
  try {
    return (await refuse(request)) ?? (await respond());
  } catch (error) {
    if (error instanceof UnreadableValue) throw error; // a mistake, which a retry does not mend
    console.error(error);
    const headers = { "Retry-After": "5", "Cache-Control": "no-store" };
    return Response.json({ error: "the database is unavailable" }, { status: 503, headers });
  }
}

export async function GET(request: Request): Promise<Response> {
  return handle(request, async () =>
    Response.json((await getCache().get("greeting")) ?? { text: "Hello" }),
  );
}

export async function PUT(request: Request): Promise<Response> {
  return handle(request, () => storeGreeting(request));
}

async function storeGreeting(request: Request): Promise<Response> {
  const body: unknown = await request.json().catch(() => null);
  const text = typeof body === "object" && body !== null && "text" in body ? body.text : null;
  if (typeof text !== "string" || text.length > 200) {
    const error = "the body must be JSON with a text of at most 200 characters";
    return Response.json({ error }, { status: 400 });
  }
  await getCache().set("greeting", { text });
  return Response.json({ text });
}
