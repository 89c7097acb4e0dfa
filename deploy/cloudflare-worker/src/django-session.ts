/**
 * Reads sessions of SESSION_ENGINE "continuum_upstash.sessions" with Django's default
 * SESSION_SERIALIZER (JSON). It never writes: a session is neither renewed nor changed.
 */

export interface DjangoSession {
  /** The primary key of the user who is logged in, or null. */
  userId: string | null;
  data: Record<string, unknown>;
}

export interface SessionSettings {
  /** SECRET_KEY, then SECRET_KEY_FALLBACKS. */
  secretKeys: string[];
  /** KEY_PREFIX of SESSION_CACHE_ALIAS. */
  keyPrefix: string;
  /** SESSION_COOKIE_NAME. */
  cookieName?: string;
}

const NAMESPACE = "continuum_upstash.sessions";
const SESSION_KEY = /^[a-z0-9]{8,128}$/;
const MAX_PAYLOAD_BYTES = 1024 * 1024;
const utf8 = new TextEncoder();

/**
 * Return the session of a request, or null if there is none, it has ended, or it was not signed
 * with one of the secret keys. Bills one command for each secret key until the session is found.
 *
 * `redis` must be created with RAW_TEXT.
 */
export async function readSession(
  redis: { get(key: string): Promise<unknown> },
  request: Request,
  { secretKeys, keyPrefix, cookieName = "sessionid" }: SessionSettings,
): Promise<DjangoSession | null> {
  const sessionKey = readCookie(request.headers.get("Cookie") ?? "", cookieName);
  if (!SESSION_KEY.test(sessionKey)) return null;
  for (const secret of secretKeys) {
    const digest = await computeDigest(sessionKey, secret);
    const record = await redis.get(`continuum:session:${keyPrefix}:${digest}`);
    if (typeof record === "string") return verify(record, digest, secretKeys);
  }
  return null;
}

function readCookie(header: string, name: string): string {
  const pairs = header.split(";").map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

async function computeDigest(sessionKey: string, secret: string): Promise<string> {
  const key = await deriveKey(NAMESPACE, secret);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode(sessionKey)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The key of django.utils.crypto.salted_hmac with SHA-256. */
async function deriveKey(salt: string, secret: string): Promise<CryptoKey> {
  const key = await crypto.subtle.digest("SHA-256", utf8.encode(salt + secret));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", key, algorithm, false, ["sign", "verify"]);
}

/** A record is payload:stamp:signature. The salt contains the digest of its Redis key. */
async function verify(
  record: string,
  digest: string,
  secretKeys: string[],
): Promise<DjangoSession | null> {
  const [payload = "", stamp = "", signature = "", ...others] = record.split(":");
  const signatureBytes = decodeBase64Url(signature);
  if (signatureBytes === null || others.length > 0) return null;
  for (const secret of secretKeys) {
    const key = await deriveKey(`${NAMESPACE}:${digest}signer`, secret);
    const signed = utf8.encode(`${payload}:${stamp}`);
    if (await crypto.subtle.verify("HMAC", key, signatureBytes, signed)) {
      return readPayload(payload);
    }
  }
  return null;
}

async function readPayload(payload: string): Promise<DjangoSession | null> {
  const isCompressed = payload.startsWith(".");
  const bytes = decodeBase64Url(isCompressed ? payload.slice(1) : payload);
  if (bytes === null) return null;
  try {
    const data: unknown = JSON.parse(isCompressed ? await decompress(bytes) : decodeUtf8(bytes));
    if (typeof data !== "object" || data === null || Array.isArray(data)) return null;
    const session = data as Record<string, unknown>;
    const userId = session["_auth_user_id"];
    return { userId: userId === undefined ? null : String(userId), data: session };
  } catch {
    return null; // written by another SESSION_SERIALIZER, or too long
  }
}

/** Decompress zlib data, which the web calls "deflate". */
async function decompress(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > MAX_PAYLOAD_BYTES) throw new RangeError("the session is too long");
    chunks.push(part.value as Uint8Array<ArrayBuffer>);
  }
  return decodeUtf8(new Uint8Array(await new Blob(chunks).arrayBuffer()));
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[\w-]+$/.test(text)) return null;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
