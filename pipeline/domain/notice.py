"""Notices: what is told of a matter that needs a person, when it lasts and when it has ended, and in which form."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from datetime import timedelta
from enum import StrEnum
from html import escape
from zoneinfo import ZoneInfo

from adapters.platform_message import clean_message
from pipeline.domain.attention import AT_THE_SERVER, CARDS, LATE, Kind, Matter, name_cause

LASTING = timedelta(minutes=1)
"""How long a cause must be on the list before it is told, and missing before its end is."""
PAUSE = timedelta(hours=1)
"""Between two notices of one cause: one that comes and goes is told once in it, with its end."""
LONGEST_NAME = 80
"""Characters of a name that are shown."""
KINDS = tuple(kind for kind in Kind if kind is not Kind.PAUSED)
"""What a target is told that chose nothing: pauses are made on purpose."""


class Form(StrEnum):
    """What a webhook gets: events, or notices as a server of this kind takes them."""

    EVENT = "event"
    SLACK = "slack"
    DISCORD = "discord"
    EMAIL = "email"


def name_group(kind: Kind) -> str:
    """Return the kind, or ``late``: posts that go from overdue to held are of one cause."""
    return "late" if kind in LATE else kind


def build_key(matter: Matter) -> str:
    """Return the cause of a matter: the same at each look, however many posts it is of."""
    parts = [name_group(matter.kind), matter.platform, matter.reason]
    if parts[0] != "late":
        parts += [str(matter.account_id or ""), matter.error_class, matter.code]
    return " ".join(part or "-" for part in parts)


def find_uncertain(matters: Sequence[Matter], most: int) -> Collection[str]:
    """Return the groups of which the list may lack some causes. *most*: how many of a kind are listed."""
    kinds = [one.kind for one in matters]
    found = {kind for kind in kinds if kinds.count(kind) >= most}
    found |= {one.kind for one in matters if one.is_capped and one.kind is not Kind.RECONNECT}  # of posts
    found |= {Kind(one.reason or "") for one in matters if one.kind is Kind.UNREAD}
    return {*map(name_group, found)}


def describe(
    matters: Sequence[Matter], names: Sequence[str], command: str, zone: ZoneInfo
) -> tuple[str, str]:
    """Return the headline of a cause, and how many posts wait and when the next is due, or what helps at the server.

    *names*: whom it concerns. They come from elsewhere: control characters are left out, and long ones cut.
    """
    first, count = matters[0], sum(one.count for one in matters)
    title = next((title for title, causes in CARDS.items() if name_cause(first) in causes), "Paused")
    if first.kind in {*AT_THE_SERVER, Kind.PAUSED}:
        what = " ".join([first.kind, *filter(None, (first.platform, first.reason))]).replace("_", " ")
        return f"{title}: {what}", command
    shown = ", ".join((clean_message(name) or "")[:LONGEST_NAME] for name in names)
    what, verb, due = "Posts", "next", first.next_due or first.due_at
    if first.kind is Kind.GRANT_ENDING:
        what, verb, due = "Accounts", "ends", first.oldest
    when = f", {verb} {due.astimezone(zone):%a %-d %b %Y, %H:%M} ({zone})" if due else ""
    more = "+" if any(one.is_capped for one in matters) else ""
    return f"{shown}: {title}", f"{what}: {count:,}{more}{when}."


_MARKDOWN = re.compile(r"[^\w\s.,;!?…+-]|_")


def read_lines(payload: str) -> list[str]:
    """Return the lines of a notice that is stored as an event: the headline, more if there is more, and the link."""
    lines: list[str] = json.loads(payload)["data"]["lines"]
    return lines


def build_body(form: Form, payload: str) -> str:
    """Return a notice as Slack or Discord takes it.

    Slack: & < > are escaped (docs.slack.dev, "Formatting message text", 2026-12). Discord: at most 2,000 characters, a
    backslash before each sign of Markdown, and nobody is mentioned (docs.discord.com, "Webhook Resource", 2026-12).
    """
    *text, link = read_lines(payload)
    if form is Form.SLACK:
        return json.dumps({"text": escape("\n".join([*text, link]), quote=False)})
    escaped = [_MARKDOWN.sub(r"\\\g<0>", line) for line in text]
    return json.dumps({"content": "\n".join([*escaped, link]), "allowed_mentions": {"parse": []}})
