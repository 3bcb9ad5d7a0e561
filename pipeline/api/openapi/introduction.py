"""Introductions of the OpenAPI documents and the tags that group their operations."""

from __future__ import annotations

from pathlib import Path

INTRODUCTION = Path(__file__).with_suffix(".txt").read_text("utf-8")
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
