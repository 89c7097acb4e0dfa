// A Worker on the keys of the Django site of deploy/project.
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis/cloudflare";

import {
  type Database,
  FAIL_FAST,
  RAW_TEXT,
  readDatabase,
  UnreadableValue,
  UpstashCache,
} from "../../typescript/upstash-cache";
import { readSession } from "./django-session";

interface Env {
  UPSTASH_REDIS_REST_URL: string;
  UPSTASH_REDIS_REST_TOKEN: string;
  /** A second database for sessions and limits, as in the settings of the site. */
  SESSIONS_UPSTASH_REDIS_REST_URL?: string;
  SESSIONS_UPSTASH_REDIS_REST_TOKEN?: string;
  DJANGO_SECRET_KEY: string;
}

// Exhausted limits of this instance, which need no command.
const exhausted = new Map<string, number>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const sessions = readDatabase(env, env.SESSIONS_UPSTASH_REDIS_REST_URL ? "SESSIONS_" : "");
    try {
      return (await refuse(request, sessions)) ?? (await respond(request, env, sessions));
    } catch (error) {
      if (error instanceof UnreadableValue) throw error; // a mistake, which a retry does not mend
      console.error(error);
      const headers = { "Retry-After": "5", "Cache-Control": "no-store" };
      return Response.json({ error: "the database is unavailable" }, { status: 503, headers });
    }
  },
};

async function respond(request: Request, env: Env, sessions: Database): Promise<Response> {
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case "GET /greeting": {
      const cache = new UpstashCache({ Redis, ...readDatabase(env), keyPrefix: "shared" });
      return Response.json((await cache.get("greeting")) ?? { text: "Hello" });
    }
    case "GET /session": {
      const session = await readSession(new Redis({ ...sessions, ...RAW_TEXT }), request, {
        secretKeys: [env.DJANGO_SECRET_KEY],
        keyPrefix: "mysite-sessions",
      });
      const body = { alive: session !== null, user: session?.userId ?? null };
      return Response.json(body, { headers: { "Cache-Control": "private, no-store" } });
    }
    default:
      return Response.json({ error: "not found" }, { status: 404 });
  }
}

/** Return a response if the client has used up the limit that Django counts, too. */
async function refuse(request: Request, database: Database): Promise<Response | undefined> {
  const ratelimit = new Ratelimit({
    redis: new Redis({ ...database, ...FAIL_FAST }),
    prefix: "shared-limit", // upstash_prefix of Django's policy
    limiter: Ratelimit.slidingWindow(10, "1 m"), // its algorithm and rate
    ephemeralCache: exhausted,
  });
  // Cloudflare sets this header; a client cannot.
  const address = request.headers.get("CF-Connecting-IP") ?? "127.0.0.1";
  const { success, reset } = await ratelimit.limit(address);
  if (success) return undefined;
  const seconds = Math.max(1, Math.ceil((reset - Date.now()) / 1000));
  const headers = { "Retry-After": String(seconds), "Cache-Control": "no-store" };
  return Response.json({ error: "too many requests" }, { status: 429, headers });
}
