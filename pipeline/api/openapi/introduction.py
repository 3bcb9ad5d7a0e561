"""Introductions of the OpenAPI documents and the tags that group their operations."""

from __future__ import annotations

INTRODUCTION = """One post, six platforms, once each, on time.

**Keys.** Send `Authorization: Bearer <public id>.<secret>`. A key belongs to one workspace or person; what is outside
its scope is answered exactly like what does not exist. A key can be restricted, and `GET /me` says how. A read-only key
is refused everything else (403 `insufficient_scope`). A mandate bounds what it writes, by whatever request: how soon
and how far ahead posts are due, their kinds and options (403 `mandate_exceeded`). A key restricted to accounts sees and
changes only posts whose accounts are all among them, and its own files, and its external ids are separate from those of
other keys. After its expiry a key is invalid (401). Rotating a key keeps its restrictions; the old secret works until
the overlap ends.

**Responses.** `{"ok": true, "code": 200, "message": "…", "data": {…}}`, or `{"ok": false, "code": 422, "message": "…",
"error_code": "…"}`: `message` is for people, `error_code` for programs. 422 lists its `issues`. `X-Request-Id` is the
request's id in the server's log. `help` of a failure is the address of its code in the reference.

**HTTP.** HEAD is answered where GET is. A read answers 304 to `If-None-Match` with the `ETag` of an earlier answer. An
answer over 1 KB is compressed with gzip or zstd if `Accept-Encoding` names it. A query parameter that resembles a known
one is refused (422); the names of others that have no effect are in `X-Ignored-Parameters`.

**Retries.** Every POST of a post is safe to repeat: with an `external_id` (or the header `Idempotency-Key`) without a
time limit, without one for ten minutes, by its body. The response has `duplicate: true` and the post as it is now, also
if it was deleted. Bodies are equal if they ask for the same: `null` and a default equal an absent field, and the order
of accounts, the offset of a time and the case of an id do not matter. Without an `external_id`, a post that was edited,
moved, canceled (at one account too) or deleted, or that failed, is not found again: the request makes a new one. Repeat
after 408, 429, 500 and 503, not before `Retry-After` if that is present.

**Idempotency keys.** Webhooks, files, imports, steering jobs, batches and the scheduling of a draft take an
`Idempotency-Key` too. It is known for a day, to the API key and the operation that used it. An equal request makes
nothing: its answer is 200 with `Idempotency-Replayed: true` and what the first one made, without its secret. Another
request with that key is 409 `idempotency_key_reused`. A request that was refused leaves its key free.

**Rate limit.** A key has a limit of posts per minute (6,000 if the operator set none), and may have one per day (in
UTC); the `RateLimit` headers name them. They count posts, not requests: a new post, an edit and a validation count as
one each, a retry and a batch as one per post. Reading, canceling and deleting are not counted. A bulk key has no limit
by default, a bulkhead of its own, and does not wait for media checks: its responses carry the warning
`REACHABILITY_PENDING`.

**Batches.** `POST /posts/batch` takes up to 500 posts in one request, and answers 200 with a result for each, in order:
exactly what `POST /posts` would have answered. A post that is refused keeps no other from being stored. With
`atomic: true` all are stored or none: one refused post is 400 `batch_refused`, whose issues name it; a post that was
accepted before counts as good. With an `Idempotency-Key`, the posts that a repeated batch stored before are found, also
those without an `external_id`, and the refused ones are taken up again. No media check is waited for: a post whose
media were not checked in the last minutes is stored, with the warning `REACHABILITY_PENDING`, and fails later if they
cannot be used.

**Lists.** `GET /posts` takes filters, and a post is listed if it meets all: those of an account (`platform`,
`account_id`, `state`, `held_for`, `error_class`, `due_from`, `due_to`) at one of its accounts. `external_id` finds the
post of a lost answer, `text` looks in captions, titles and external ids. `sort=due` begins with the first due. Go on
with `next_cursor` and the same filters until it is null: with filters other than `status`, `since` and `until` a page
may be short, or even empty, before the end.

**Exports.** `GET /posts/export` writes all posts, or those of the filters, newest first: as NDJSON, with the body of a
`POST /posts` on each line, or as CSV, with the columns of an import; both have `post_id` and `status`. A CSV cell that
a spreadsheet would take for a formula begins with a quote. The answer is written as it is read: if the connection
closes early, posts are missing. A key may have four exports in progress.

**Webhooks.** `POST /webhooks` has events sent to a public https URL, as the Standard Webhooks specification says
(`webhook-id`, `webhook-timestamp`, `webhook-signature`): its libraries verify them with the `secret` of the answer. The
body is `{"type": "…", "timestamp": "…", "data": {…}}`. Types: `post.scheduled` (accepted, edited or retried),
`post.posted`, `post.failed`, `post.partial`, `post.canceled`; `post.needs_approval`, `post.approved`,
`post.sent_back`; `delivery.published`, `delivery.failed`,
`delivery.blocked`, `delivery.unknown`, and `delivery.held` when a limit, a quota or slow media put it back;
`account.reconnect`; `import.finished`. `data` names `post_id`, `external_id` and `account_id`; read the post for the
rest. An event is sent at least once, always with the same `webhook-id`: drop one you have had. The events of a post
come one after the other; those of other posts do not wait. Answer 2xx within ten seconds. Anything else, redirects
included, is tried again: ten times over three days, not before `Retry-After`. 410, or three days without a success,
pauses the webhook: `webhook.paused` goes to your other webhooks, nothing is lost, and `PATCH {"paused": false}` sends
what waits.
A program that cannot be called asks `GET /events?after=` for the events of posts and deliveries, with the same ids.
Events are kept for 30 days; `…/events` shows them with their tries, and `…/replay` sends them again. The webhook of a
key restricted to accounts gets the events of what the key may see, until the key is revoked. Rotate the secret with
`…/rotate`: for a day both sign.
"""
"""Markdown; the reference page supports paragraphs, bold and code only."""

VERSIONS = """
**Versions.** `info.version` follows SemVer, and `info.x-changelog` says what changed. A field of a response and a word
of an enumeration may be added with a minor version: generate a client again to know it.
"""
"""End of every introduction."""

POSTS, IMPORTS, WEBHOOKS, FILES, CONNECT = "Posts", "Imports", "Webhooks", "Files", "Connect"
SCOPE, SERVER = "Scope", "Server"
TAGS = [
    {"name": POSTS, "description": "Create, read, change, stop."},
    {"name": IMPORTS, "description": "Files of many posts: planned, checked, applied, rolled back."},
    {"name": WEBHOOKS, "description": "Events, sent to a URL of yours."},
    {"name": FILES, "description": "Upload media."},
    {"name": CONNECT, "description": "Connect accounts through a platform's consent page (OAuth)."},
    {"name": SCOPE, "description": "The accounts and the plan of the key."},
    {"name": SERVER, "description": "Health and metrics. They need no key: keep them behind your proxy."},
]

OPERATOR_INTRODUCTION = """What needs an operator, and dead letters: deliveries that failed or wait for an operator.

**Tokens.** Send `Authorization: Bearer <token>`: the operator token reaches all workspaces, the key of a workspace its
own dead letters and nothing else. A key restricted to accounts reaches those of posts that go to none but its accounts.
What is outside the scope is answered exactly like what does not exist.

**Responses** are those of the Partner API, and so are its error codes.
"""

ATTENTION, DEAD_LETTERS = "Attention", "Dead letters"
OPERATOR_TAGS = [
    {"name": ATTENTION, "description": "What needs an operator, in all workspaces."},
    {"name": DEAD_LETTERS, "description": "List, inspect, replay and discard."},
]
