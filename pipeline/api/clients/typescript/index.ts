/** A client of the Slipway Partner API: the generated types, with uploads, pages, waiting, and retries under one key. */

import { readFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };
export type Schemas = components["schemas"];
type Refusal = Schemas["Failure"] & { issues?: Schemas["Issue"][] | null };

const KEY = "Idempotency-Key";
/** Statuses after which the same request may succeed. */
const REPEATED = new Set([408, 429, 500, 502, 503, 504]);
/** Milliseconds before each further try, unless Retry-After asks for more. */
const PAUSES = [500, 1000, 2000, 4000, 8000];
/** Milliseconds: an answer whose Retry-After asks for more is given back instead, as with a limit of posts per day. */
const MAX_PAUSE = 60_000;
/** Statuses after which a post changes no more by itself. */
const SETTLED = new Set<Schemas["PostStatus"]>(["posted", "failed", "partial", "canceled"]);
const TYPES: Record<string, Schemas["ContentType"]> = {
  ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
  ".heic": "image/heic", ".heif": "image/heif", ".mp4": "video/mp4", ".mov": "video/quicktime",
  ".avi": "video/x-msvideo", ".webm": "video/webm", ".m4v": "video/x-m4v",
};

/** The server refused the request. `code` is for programs; `help` is the address of its advice. */
export class SlipwayError extends Error {
  readonly status: number;
  readonly code: Schemas["ErrorCode"];
  readonly help: string | undefined;
  readonly issues: Schemas["Issue"][];

  constructor(refusal: Refusal) {
    super(`${refusal.code} ${refusal.error_code}: ${refusal.message}`);
    this.status = refusal.code;
    this.code = refusal.error_code;
    this.help = refusal.help;
    this.issues = refusal.issues ?? [];
  }
}

/** Return the data of an answer. Throws SlipwayError for a refusal. */
export async function data<T>(answer: Promise<{ data?: { data: T }; error?: unknown }>): Promise<T> {
  const { data: found, error } = await answer;
  if (found === undefined) throw new SlipwayError(error as Refusal);
  return found.data;
}

/** Yield the pages of a list, each of which is asked for with the cursor of the one before. */
export async function* pages<P extends { next_cursor?: string | null }>(
  list: (cursor: string) => Promise<{ data?: { data: P }; error?: unknown }>,
): AsyncGenerator<P, void, undefined> {
  for (let cursor: string | null | undefined = ""; cursor !== null && cursor !== undefined; ) {
    const page: P = await data(list(cursor));
    yield page;
    cursor = page.next_cursor;
  }
}

/** Send a request until it has an answer that a further try would not change; each POST under one Idempotency-Key. */
async function repeat(request: Request): Promise<Response> {
  if (request.method === "POST" && !request.headers.has(KEY)) request.headers.set(KEY, crypto.randomUUID());
  for (const pause of PAUSES) {
    const answer = await fetch(request.clone()).catch(() => undefined);
    const asked = 1000 * Number(answer?.headers.get("Retry-After") ?? 0) || 0;
    if (answer && (!REPEATED.has(answer.status) || asked > MAX_PAUSE)) return answer;
    await answer?.body?.cancel();
    await sleep(Math.max(pause, asked));
  }
  return fetch(request);
}

export class Slipway {
  /** A call for every operation: `api.POST("/api/partner/v1/posts", { body })`. */
  readonly api: Client<paths>;

  /** SLIPWAY_URL and SLIPWAY_KEY say where and who. */
  constructor({ url = process.env.SLIPWAY_URL, key = process.env.SLIPWAY_KEY }: { url?: string | undefined; key?: string | undefined } = {}) {
    if (!url || !key) throw new Error("Set SLIPWAY_URL and SLIPWAY_KEY, or give url and key.");
    this.api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` }, fetch: repeat });
  }

  /** Upload a file, and return the URL by which posts name it. */
  async upload(file: string): Promise<string> {
    const contentType = TYPES[extname(file).toLowerCase()];
    if (!contentType) throw new Error(`${file} has none of the types ${Object.keys(TYPES).join(" ")}.`);
    const body = { contentType, filename: basename(file) };
    const opened = await data(this.api.POST("/api/partner/v1/files", { body }));
    const content = new Blob([await readFile(file)]);
    const put = { method: "PUT", body: content, headers: { "Content-Type": contentType } };
    const answer = await repeat(new Request(opened.uploadUrl, put));
    if (!answer.ok) throw new SlipwayError((await answer.json()) as Refusal);
    return opened.url;
  }

  /** Return the post once it changes no more by itself. Throws after `timeout` milliseconds. */
  async waitUntilSettled(post: string, timeout = 600_000): Promise<Schemas["Post"]> {
    const end = Date.now() + timeout;
    for (let pause = 500; ; pause = Math.min(pause * 1.5, 10_000)) {
      const params = { path: { post_id: post } };
      const found = await data(this.api.GET("/api/partner/v1/posts/{post_id}", { params }));
      if (SETTLED.has(found.status)) return found;
      if (Date.now() + pause > end) throw new Error(`The post ${post} is ${found.status} after ${timeout} ms.`);
      await sleep(pause);
    }
  }
}
