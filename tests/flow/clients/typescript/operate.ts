/** List dead letters and count what a filter selects, with the generated TypeScript client: URL KEY. */

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./operator.js";

const [url = "", key = ""] = process.argv.slice(2);
const REPLAY = "/api/operator/v1/dead-letters/replay";

function connect(token: string) {
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
}

const client = connect(key);
const page = await client.GET("/api/operator/v1/dead-letters", { params: { query: { limit: 1 } } });
assert(page.data, JSON.stringify(page.error));
const counted = await client.POST(REPLAY, { body: { filter: {} } });
assert(counted.data, JSON.stringify(counted.error));
const outcome: components["schemas"]["ReplayOutcome"] = counted.data.data;
assert("dry_run" in outcome);
assert.equal(outcome.letters, page.data.data.causes.reduce((sum, cause) => sum + cause.letters, 0));
const neither = await client.POST(REPLAY, { body: {} });
assert.equal(neither.error?.error_code, "invalid_payload");
const stranger = await connect("not.a-key").GET("/api/operator/v1/dead-letters");
assert.equal(stranger.error?.error_code, "invalid_token");
console.log(outcome.letters);
