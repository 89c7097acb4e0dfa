/**
 * The values of a Django cache with OPTIONS = {"SERIALIZER": "json"}, over @upstash/redis.
 * docs/how-to/share-with-javascript.md describes it.
 *
 * It imports nothing: pass the class Redis of "@upstash/redis", or on Cloudflare that of
 * "@upstash/redis/cloudflare".
 */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The stored bytes are a value that JavaScript cannot read. The message names the key. */
export class UnreadableValue extends Error {
  constructor(key: string, reason: string) {
    super(`${key} contains ${reason}: store it with a Django alias that has SERIALIZER "json".`);
    this.name = "UnreadableValue";
  }
}

export interface Database {
  url: string;
  token: string;
}

/**
 * Return the URL and token of a database from the environment variables that Django reads, too.
 *
 * `prefix` is ENV_PREFIX of Django's alias, for example "SESSIONS_".
 */
export function readDatabase(variables: object, prefix = ""): Database {
  const values = variables as Record<string, string | undefined>;
  for (const name of ["UPSTASH_REDIS_REST_", "KV_REST_API_"]) {
    const url = values[`${prefix}${name}URL`];
    const token = values[`${prefix}${name}TOKEN`];
    if (url && token) return { url, token };
  }
  throw new Error(
    `Set ${prefix}UPSTASH_REDIS_REST_URL and ${prefix}UPSTASH_REDIS_REST_TOKEN, ` +
      `or ${prefix}KV_REST_API_URL and ${prefix}KV_REST_API_TOKEN.`,
  );
}

/**
 * Options of Redis that end a request after two seconds. There are no retries, because a repeated
 * INCRBY may count twice. Redis itself sets no time limit, and retries for four seconds.
 */
export const FAIL_FAST = { retry: false, signal: () => AbortSignal.timeout(2000) } as const;

/** The same, and Redis returns stored text as it is. */
export const RAW_TEXT = { ...FAIL_FAST, automaticDeserialization: false } as const;

interface Commands {
  get(key: string): Promise<unknown>;
  mget(...keys: string[]): Promise<unknown[]>;
  set(key: string, text: string, options?: { px: number }): Promise<unknown>;
  del(...keys: string[]): Promise<number>;
  incrby(key: string, by: number): Promise<number>;
  ttl(key: string): Promise<number>;
}

export interface UpstashCacheOptions extends Database {
  Redis: new (options: Database & typeof RAW_TEXT) => object;
  /** KEY_PREFIX of Django's alias. */
  keyPrefix: string;
  /** VERSION of Django's alias. */
  version?: number;
  /** Seconds that `set` keeps a value by default, as Django's TIMEOUT; null: no expiry. */
  timeout?: number | null;
}

/** A Django cache alias. Each method is one round trip and one billed command. */
export class UpstashCache {
  private readonly redis: Commands;
  private readonly prefix: string;
  private readonly timeout: number | null;

  constructor({ Redis, url, token, keyPrefix, version = 1, timeout = 300 }: UpstashCacheOptions) {
    this.redis = new Redis({ url, token, ...RAW_TEXT }) as Commands;
    this.prefix = `${keyPrefix}:${version}:`;
    this.timeout = timeout;
  }

  /** Return a value, or undefined if the key is missing. Throws UnreadableValue. */
  async get<T extends Json = Json>(key: string): Promise<T | undefined> {
    const fullKey = this.prefix + key;
    return decode<T>(fullKey, await this.redis.get(fullKey));
  }

  /** Return the values of the keys that exist. Throws UnreadableValue. */
  async getMany<T extends Json = Json>(keys: string[]): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    if (keys.length === 0) return found;
    const texts = await this.redis.mget(...keys.map((key) => this.prefix + key));
    keys.forEach((key, index) => {
      const value = decode<T>(this.prefix + key, texts[index]);
      if (value !== undefined) found.set(key, value);
    });
    return found;
  }

  /** Store a value for a number of seconds; null: without expiry. */
  async set(key: string, value: Json, ttl: number | null = this.timeout): Promise<void> {
    if (ttl !== null && !(ttl > 0)) throw new RangeError(`ttl must be above 0 seconds, not ${ttl}`);
    const options = ttl === null ? undefined : { px: Math.max(1, Math.round(ttl * 1000)) };
    await this.redis.set(this.prefix + key, encode(value), options);
  }

  /** Delete a value; return whether it existed. */
  async delete(key: string): Promise<boolean> {
    return (await this.redis.del(this.prefix + key)) === 1;
  }

  /** Add to an integer and return the result. A missing key is created, without expiry. */
  async incr(key: string, by = 1): Promise<number> {
    return this.redis.incrby(this.prefix + key, by);
  }

  /** Return the remaining seconds; -1: it does not expire; -2: the key is missing. */
  async ttl(key: string): Promise<number> {
    return this.redis.ttl(this.prefix + key);
  }
}

/** JSON.stringify would drop undefined and functions, and store NaN and Infinity as null. */
function encode(value: Json): string {
  return JSON.stringify(value, (name, item: unknown) => {
    const isExact = typeof item === "number" ? Number.isFinite(item) : isJsonType(item);
    if (!isExact) throw new TypeError(`JSON has no ${String(item)}${name && ` (${name})`}`);
    return item;
  });
}

function isJsonType(item: unknown): boolean {
  return item === null || ["boolean", "string", "object"].includes(typeof item);
}

const INTEGER = /^(0|-?[1-9]\d*)$/;
const FLOAT = /^-?(0|[1-9]\d*)(?=[.e])(\.(0|\d*[1-9]))?(e[+-]\d{1,3})?$/;
const SIGNED_BASE64 = /^~[A-Za-z0-9+/]{22,}={0,2}~[A-Za-z0-9+/]*={0,2}$/;
const BINARY_FORMATS = [
  "the byte 0",
  "a compressed value",
  "a signed value",
  "an encrypted value",
  "a value with tags or an early refresh",
];

function decode<T extends Json>(key: string, text: unknown): T | undefined {
  if (text === null || text === undefined) return undefined;
  if (typeof text !== "string") throw new TypeError(`${key}: Redis returned a ${typeof text}`);
  return decodeText(key, text) as T;
}

/**
 * Return the value of stored text by its first character: see docs/reference/stored-bytes.md.
 * @upstash/redis has decoded the bytes as UTF-8, and has replaced invalid bytes by U+FFFD. All
 * msgpack of Django contains such bytes.
 */
function decodeText(key: string, text: string): Json {
  const first = text.charAt(0);
  const format = BINARY_FORMATS[first.charCodeAt(0)];
  if (format !== undefined) throw new UnreadableValue(key, format);
  if (SIGNED_BASE64.test(text)) throw new UnreadableValue(key, "a signed value");
  if (first.charCodeAt(0) >= 0x80 && text.includes("\uFFFD")) {
    throw new UnreadableValue(key, "msgpack, Django's default format");
  }
  if (INTEGER.test(text)) {
    const number = Number(text);
    if (Number.isSafeInteger(number)) return number;
    throw new UnreadableValue(key, "an integer that a number cannot represent exactly");
  }
  if (FLOAT.test(text) && Number.isFinite(Number(text))) return Number(text);
  if (first === "" || !'{["tfn'.includes(first)) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text; // as another client stored it, without quotes
  }
}
