"""What holds for the whole API, said once at the head of the OpenAPI page; and the chapters of its operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ABOUT = """One post, six platforms, once each, on time.

**Keys.** Send `Authorization: Bearer <public id>.<secret>`. A key speaks for one workspace or person; what is outside
its scope is answered exactly like what does not exist. A key may be made for less: one that only reads is refused
everything else (403 `insufficient_scope`); one that is bound to accounts sees, counts and steers only posts that go to
none but these, its own files, and has external ids of its own; one that expires is no key afterwards (401). A key
that is rotated keeps all of that; its old secret works until the overlap is over.

**Answers.** `{"ok": true, "code": 200, "message": "…", "data": {…}}`, or `{"ok": false, "code": 422, "message": "…",
"error_code": "…"}`: the message is for people, the code for programs. 422 lists its `issues`. `X-Request-Id` names
the request in our log.

**Repeating.** Every POST of a post is safe to repeat: with an `external_id` (or the header `Idempotency-Key`) for
ever, without one for ten minutes by its body. Repeat after 408, 429, 500 and 503, not before `Retry-After` where it
is given.

**Rate.** Where the operator sets one, it counts posts, not calls: a new post, an edit and a validation are one each,
a retry one for every post it names. Reading, canceling and deleting are not counted. A key made for bulk work has a
narrow line of its own, in which nothing waits for a look at its media: answers come with `REACHABILITY_PENDING`.
"""
"""In Markdown, of which the page knows paragraphs, bold and code."""

_CHAPTERS: tuple[tuple[str, str, str], ...] = (
    ("/api/partner/v1/posts", "Posts", "Make, read, change, stop."),
    ("/api/partner/v1/files", "Files", "Upload media."),
    ("/files", "Files", ""),
    (
        "/api/partner/v1/connect",
        "Connecting",
        "Send a person to a platform's consent page and take them back.",
    ),
    ("/api/partner/v1", "Scope", "What the key may publish to, and on what plan."),
    ("/", "Server", "Health and numbers; no key is asked for, so keep them behind your proxy."),
)
"""Beginning of an address, chapter, what it is about. The first that fits counts."""


def introduce(spec: dict[str, Any]) -> None:
    """Adds the head, to each operation its chapter, and what holds for every query."""
    spec["info"]["description"] = ABOUT
    spec["servers"] = [{"url": "/"}]
    spec["tags"] = [{"name": name, "description": about} for _, name, about in _CHAPTERS if about]
    for path, item in spec["paths"].items():
        for operation in item.values():
            operation["tags"] = [chapter_of(path)]
            operation["summary"] = summary_of(operation)
            for one in operation.get("parameters", ()):
                if one["in"] == "query" and not one["required"]:
                    one["allowEmptyValue"] = True  # as if it were left out


def chapter_of(path: str) -> str:
    """Where an address belongs."""
    return next(name for begin, name, _ in _CHAPTERS if path.startswith(begin))


def summary_of(operation: Mapping[str, Any]) -> str:
    """The first sentence of its description."""
    first: str = operation.get("description", operation["operationId"]).partition(". ")[0]
    return first.splitlines()[0].rstrip(".")
