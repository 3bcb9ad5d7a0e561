/** Upload, create, edit, read and publish with the generated TypeScript client: URL KEY FILE ACCOUNT CAPTION. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./partner.js";

type Schemas = components["schemas"];
const POSTS = "/api/partner/v1/posts";
const POST = "/api/partner/v1/posts/{post_id}";
const ABSENT = "01a2106e-0000-7000-8000-000000000000";
const [url = "", key = "", file = "", account = "", caption = ""] = process.argv.slice(2);

function connect(token: string) {
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
}

const client = connect(key);

// Every optional field may be left out, and null stands only where it means something.
const video: Schemas["Video"] = { type: "video", url: "https://cdn.example.com/v.mp4" };
const least: Schemas["PostBody"] = { caption: "c", media: video, accounts: [{ id: ABSENT }] };
const nothing: [Schemas["PatchBody"], Schemas["TikTokOptions"], Schemas["PinterestOptions"], Schemas["ConnectBody"]] = [
  {}, {}, {}, {},
];
const images: Schemas["Slideshow"] = { type: "slideshow", urls: ["https://cdn.example.com/1.jpg"] };
const ids: [Schemas["RetryBody"], Schemas["CancelBody"]] = [{ post_ids: [ABSENT] }, { post_ids: [ABSENT] }];
// @ts-expect-error null clears no caption
const cleared: Schemas["PatchBody"] = { caption: null };
// @ts-expect-error a video has one URL
const mixed: Schemas["Video"] = { type: "video", urls: [] };
assert.equal([least, ...nothing, images, ...ids, cleared, mixed].length, 10);

async function upload(): Promise<string> {
  const opened = await client.POST("/api/partner/v1/files", { body: { contentType: "video/mp4" } });
  assert(opened.data, JSON.stringify(opened.error));
  const { file_id, ...query } = opened.data.data.parameters;
  const stored = await createClient<paths>({ baseUrl: url }).PUT("/api/partner/v1/files/{file_id}/content", {
    params: { path: { file_id }, query },
    body: new Blob([await readFile(file)]) as unknown as string, // openapi-typescript has no type for bytes
    bodySerializer: (bytes) => bytes,
    headers: { "Content-Type": "application/octet-stream" },
  });
  assert(stored.data, JSON.stringify(stored.error));
  assert.equal(stored.data.data.url, opened.data.data.url);
  return opened.data.data.url;
}

async function create(media: string): Promise<string> {
  const made = await client.POST(POSTS, {
    body: {
      caption: `${caption}, first version`,
      media: { type: "video", url: media },
      accounts: [{ id: account }],
      scheduled_at: new Date(Date.now() + 86_400_000).toISOString(),
      tiktok: { privacy_level: "SELF_ONLY" },
    },
  });
  assert(made.data, JSON.stringify(made.error));
  const codes: Schemas["WarningCode"][] = (made.data.data.warnings ?? []).map((warning) => warning.code);
  assert(codes.every((code) => code === code.toUpperCase()));
  return made.data.data.id;
}

async function read(post: string): Promise<Schemas["Post"]> {
  const found = await client.GET(POST, { params: { path: { post_id: post } } });
  assert(found.data, JSON.stringify(found.error));
  return found.data.data;
}

async function edit(post: string, change: Schemas["PatchBody"]): Promise<void> {
  const edited = await client.PATCH(POST, { params: { path: { post_id: post } }, body: change });
  assert(edited.data, JSON.stringify(edited.error));
}

async function publish(post: string): Promise<void> {
  await edit(post, { scheduled_at: null });
  let found = await read(post);
  for (const end = Date.now() + 60_000; found.status !== "posted"; found = await read(post)) {
    assert(Date.now() < end, JSON.stringify(found));
    await pause(200);
  }
  const [state] = found.accounts.states;
  assert(state);
  const delivered: Schemas["DeliveredAs"] | null = state.delivered_as;
  const reached: Schemas["State"] = state.state;
  assert.deepEqual([reached, delivered], ["published", "post"]);
}

async function meetErrors(): Promise<void> {
  const refused = await client.POST(POSTS, { body: least });
  assert(refused.error);
  const code: Schemas["ErrorCode"] = refused.error.error_code;
  assert.equal(code, "unknown_accounts");
  const invalid = await client.POST(POSTS, { body: { ...least, caption: "" } });
  assert(invalid.error && "issues" in invalid.error);
  assert.equal(invalid.error.issues?.[0]?.path, "caption");
  const stranger = await connect("not.a-key").GET("/api/partner/v1/accounts");
  assert.equal(stranger.error?.error_code, "invalid_token");
}

const post = await create(await upload());
const before = await read(post);
assert(before.media.type === "video" && before.media.url);
assert.equal(before.tiktok?.privacy_level, "SELF_ONLY");
await edit(post, { caption, tiktok: null });
const after = await read(post);
assert.deepEqual([after.caption, after.tiktok, after.youtube?.privacy], [caption, null, undefined]);
await publish(post);
await meetErrors();
console.log(post);
