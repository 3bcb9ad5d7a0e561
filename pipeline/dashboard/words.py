"""The words of the pages: what each state and hold is called, its colour and its icon.

A colour never stands without its word or icon. What is normal has no fill.

Also the icons and marks: one sprite in each page, which its parts refer to by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from markupsafe import Markup

from adapters.contract import Platform
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import INBOX_DRAFT, NO_TIME
from pipeline.store.accounts.health import ENDING_SOON, IN_USE, LOST, OUT_OF_USE
from pipeline.store.deliveries.selection import DeliveryFacts
from pipeline.store.imports.imports import Import
from pipeline.store.posts.views import DeliveryView


@dataclass(frozen=True, slots=True)
class Word:
    """The name of a state. ``urgency``: the largest of a post's accounts is shown for the post."""

    label: str
    colour: str
    icon: str
    urgency: int
    has_fill: bool = True


Standing = DeliveryFacts | DeliveryView
"""An account of a post, as a list or a page has read it."""

STATES: Mapping[str, Word] = {
    State.ACCEPTED: Word("Checking files", "grey", "refresh-cw", 2),
    State.SCHEDULED: Word("Scheduled", "blue", "clock", 1, has_fill=False),
    State.PREPARING: Word("Getting ready", "sea", "arrow-up", 3),
    State.QUEUED: Word("Next in line", "sea", "menu", 4),
    State.PUBLISHING: Word("Sending", "sea", "arrow-right", 6),
    State.PROCESSING: Word("At the platform", "sea", "refresh-cw", 5),
    State.PUBLISHED: Word("Live", "green", "check", 0, has_fill=False),
    State.RETRYING: Word("Trying again", "amber", "rotate-cw", 8),
    State.UNKNOWN: Word("Not sure yet", "violet", "circle-question-mark", 10),
    State.FAILED: Word("Failed", "red", "x", 9),
    State.CANCELLED: Word("Canceled", "grey", "ban", 0, has_fill=False),
    State.BLOCKED: Word("Needs you", "amber", "circle-alert", 12),
}
REASONS: Mapping[str, Word] = {
    Reason.RECONNECT: Word("Connect again", "amber", "plug", 13),
    Reason.IS_IT_LIVE: Word("Is it live?", "violet", "eye", 11),
    Reason.PERSON_NEEDED: STATES[State.BLOCKED],
}
PAUSED = Word("Paused", "grey", "pause", 7)
LOCKED = Word("Locked", "amber", "ban", 7)
UNAPPROVED = Word("Needs approval", "violet", "clock", 5)
DRAFT = Word("Draft", "grey", "pencil", 1, has_fill=False)
INBOX = Word("In the TikTok inbox", "green", "inbox", 0)
REMOVED = Word("Taken off by an edit", "grey", "ban", 0, has_fill=False)
PARTLY = Word("Partly live", "amber", "contrast", 9)
LATE = Word("late", "amber", "clock", 9)
ACCOUNTS: Mapping[int, Word] = {
    LOST: REASONS[Reason.RECONNECT],
    ENDING_SOON: Word("Access ends soon", "amber", "clock", 0),
    IN_USE: Word("Connected", "green", "check", 0, has_fill=False),
    OUT_OF_USE: Word("Out of use", "grey", "ban", 0, has_fill=False),
}
"""By the rank of an account in the list."""
HOLDS: Mapping[Hold, str] = {
    Hold.RATE: "{platform} had no room",
    Hold.MIN_GAP: "Keeps its distance",
    Hold.DAILY_QUOTA: "Daily limit reached",
    Hold.BREAKER: "{platform} is down",
    Hold.BACKLOG: "Many posts at once",
    Hold.EPOCH: "Held after a restore",
    Hold.PREPARED_EARLY: "Ready, waits for its time",
    Hold.SHUTDOWN: "Slipway restarts",
    Hold.SLOW_MEDIA: "Its files come slowly",
    Hold.CONVERTING: "Fitting its pictures",
    Hold.STORAGE: "Storage is away",
    Hold.VAULT: "Its access cannot be read",
    Hold.NEWER_WORKER: "Waits for an upgrade",
    Hold.CHECKING: "Checking files",
    Hold.LOCKED: "Locked",
    Hold.PAUSED: "Paused",
    Hold.APPROVAL: "Waits for an approval",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What a card of Attention says under its title."""

    note: str
    icon: str
    colour: str


CARDS: Mapping[str, Card] = {
    "Nothing goes out": Card(
        "The operator at the server has to help. Posts wait; nothing is lost.", "ban", "red"
    ),
    "Access withdrawn": Card(
        "Someone signed Slipway out, or changed the password. Posts wait; nothing is lost.", "plug", "amber"
    ),
    "Refused by the platform": Card("The same post would be refused again. Mend it, then retry.", "x", "red"),
    "Did not come through": Card("Nothing was published. Another try can help.", "rotate-cw", "red"),
    "Not sure yet": Card(
        "The answer was lost. Slipway looks again, and never sends twice.",
        STATES[State.UNKNOWN].icon,
        STATES[State.UNKNOWN].colour,
    ),
    "Is it live?": Card(
        "The platform cannot say. Look at the account, then decide.",
        REASONS[Reason.IS_IT_LIVE].icon,
        REASONS[Reason.IS_IT_LIVE].colour,
    ),
    "Needs you": Card(
        "Tried as often as is sensible. Mend the cause, then try again.",
        REASONS[Reason.PERSON_NEEDED].icon,
        REASONS[Reason.PERSON_NEEDED].colour,
    ),
    "Waits for an approval": Card(
        "They are sent only once another person has approved them.", "circle-check", "amber"
    ),
    "Late": Card("Their time has come, and they are not sent.", "clock", "amber"),
    "Access ends soon": Card("Connect again before it ends, and no post waits.", "plug", "grey"),
    "For the operator at the server": Card("Posts go out all the same.", "settings", "grey"),
}
"""Title of a card -> what stands under it."""
IMPORTS: Mapping[ImportState, Word] = {
    ImportState.UPLOADED: Word("Waits to be read", "sea", "clock", 0),
    ImportState.READING: Word("Being read", "sea", "refresh-cw", 0),
    ImportState.PLANNED: Word("Plan, nothing is scheduled yet", "violet", "menu", 0),
    ImportState.APPLYING: Word("Being scheduled", "sea", "arrow-right", 0),
    ImportState.APPLIED: Word("Scheduled", "green", "check", 0, has_fill=False),
    ImportState.PAUSED: Word("Paused", "grey", "pause", 0),
    ImportState.CANCELLED: Word("Stopped", "grey", "ban", 0, has_fill=False),
    ImportState.FAILED: Word("Failed", "red", "x", 0),
    ImportState.ROLLING_BACK: Word("Being rolled back", "sea", "undo-2", 0),
    ImportState.ROLLED_BACK: Word("Rolled back", "grey", "undo-2", 0, has_fill=False),
}
ROWS: Mapping[str, tuple[str, str]] = {
    "unknown_accounts": ("No such account: {value}", "It is none of this client, or not active."),
    "scheduled_at rule": ("The time has passed", "Give a new one."),
    "EQUAL_ROW": ("Equal to an earlier row", "Each of them makes a post."),
    "POSTS_TOO_CLOSE": ("Close to another post of its account", "Give it another time."),
    "SAME_CAPTION": ("Same caption as another post that day", "Change one of them."),
    "SAME_MEDIA": ("Same media as another post that day", "Change one of them."),
    "POST_CANCELED": (
        "Its post is canceled",
        "Nothing goes out for this row. Delete that post to make another.",
    ),
}
"""Reason and remedy of what is wrong with a row, by its code, or by path and type."""
THROWN_AWAY = Word("Thrown away", "grey", "trash-2", 0, has_fill=False)

CAUSES: Mapping[str, str] = {
    "Rejected": "Refused by the platform",
    "Unsupported": "Not possible at the platform",
    "Invalid": "Does not fit the platform",
    "Unavailable": "Platform or file out of reach",
    "TooLate": "Too late to go out",
    "NotSentYet": "Added after the post had failed",
    "AdapterError": "An error in Slipway",
}
"""Class of an error -> why accounts of posts failed."""


def name_state(one: Standing) -> Word:
    """Return the word for one account of a post."""
    if one.due_at >= NO_TIME and one.state in (State.ACCEPTED, State.SCHEDULED):
        return DRAFT
    if one.held_for is Hold.LOCKED:
        return LOCKED
    if one.held_for is Hold.PAUSED:
        return PAUSED
    if one.held_for is Hold.APPROVAL:
        return UNAPPROVED
    if one.state == State.BLOCKED:
        return REASONS.get(one.reason or "", STATES[State.BLOCKED])
    if one.state == State.PUBLISHED and one.delivered_as == INBOX_DRAFT:
        return INBOX
    return STATES[one.state]


def name_post(accounts: Sequence[Standing]) -> Word:
    """Return the word for a post: of the account that needs somebody most, or of how it ended."""
    words = [name_state(one) for one in accounts]
    if not words:
        return REMOVED
    most = max(words, key=lambda word: word.urgency)
    is_partly = most is STATES[State.FAILED] and any(one.state == State.PUBLISHED for one in accounts)
    if is_partly:
        return PARTLY
    if most.urgency == 0:
        return next((word for word in words if word is not STATES[State.CANCELLED]), words[0])
    return most


def name_hold(hold: Hold, platform: str) -> str:
    """Return why an account of a post waits."""
    return HOLDS[hold].format(platform=name_platform(platform))


def name_cause(error_class: str) -> str:
    """Return why accounts of posts failed, by the class of their error."""
    return CAUSES.get(error_class, "Another reason")


def name_import_state(job: Import) -> Word:
    """Return the word for where an import stands."""
    return THROWN_AWAY if job.deleted_at else IMPORTS[job.state]


def explain_row(issue: Mapping[str, Any]) -> tuple[str, str]:
    """Return why a row is refused or warned of, and more about it: in the words of `ROWS`, or of the issue itself."""
    known = ROWS.get(issue.get("code", "")) or ROWS.get(f"{issue['path']} {issue.get('type')}")
    if known is not None:
        return known[0].format(value=issue.get("value", "")).removesuffix(": "), known[1]
    message = _ID.sub("", _ACCOUNT.sub(_name_account, issue["message"]))
    reason, more = (*re.split("[.;] ", message, maxsplit=1), "")[:2]
    return reason.removesuffix("."), more[:1].upper() + more[1:]


def _name_account(found: re.Match[str]) -> str:
    """Return how a message about an account begins: by its platform, unless that is named anyway."""
    name = name_platform(found[1])
    return "" if name in found.string else f"{name}: "


_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = re.compile(rf" ?\(?\b{_UUID}\b\)?")
_ACCOUNT = re.compile(rf"^(\w+) account .{{1,200}}? \({_UUID}\): ")


def quote_platform(platform: str, words: str) -> str:
    """Return what a platform said, as its sentence."""
    return f"{name_platform(platform)} says: \N{LEFT DOUBLE QUOTATION MARK}{words}\N{RIGHT DOUBLE QUOTATION MARK}"


def count_posts(number: int, *, is_capped: bool = False) -> str:
    """Return ``1 post``, ``3,000 posts`` or, if more were not counted, ``1,000+ posts``."""
    return f"{number:,}{'+' if is_capped else ''} post{'' if number == 1 and not is_capped else 's'}"


# --- icons and marks -------------------------------------------------------------------------------------------------


_FOLDER = files("pipeline.dashboard") / "static"
_SVG = re.compile(r"<svg[^>]*>(?:<title>[^<]*</title>)?(.*)</svg>", re.DOTALL)


@cache
def load_sprite() -> Markup:
    """Return the symbols of all icons and marks, for the beginning of a page."""
    icons = [
        _build_symbol(one) for one in (_FOLDER / "vendor" / "icons").iterdir() if one.name.endswith(".svg")
    ]
    marks = [_build_symbol(one) for one in (_FOLDER / "slipway.svg", *map(_find_mark, Platform))]
    return Markup('<svg hidden aria-hidden="true">{}</svg>').format(Markup("").join(sorted(icons + marks)))


def show_icon(name: str, label: str = "") -> Markup:
    """Return an icon; with a *label* it is read out."""
    named = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="#icon-{}"/></svg>').format(named, name)


def show_mark(platform: str) -> Markup:
    """Return the mark of a platform."""
    return Markup('<svg class="logo" role="img" aria-label="{}"><use href="#icon-{}"/></svg>').format(
        name_platform(platform), platform
    )


def name_platform(platform: str) -> str:
    """Return the name of a platform as it writes itself."""
    return PLATFORM_NAMES.get(platform, platform)


def _find_mark(platform: Platform) -> Traversable:
    """Return the file of a mark: Simple Icons has none of LinkedIn, so that one is our own."""
    vendored = _FOLDER / "vendor" / "marks" / f"{platform}.svg"
    return vendored if vendored.is_file() else _FOLDER / f"{platform}.svg"


def _build_symbol(file: Traversable) -> Markup:
    found = _SVG.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{file.name} is no SVG.")
    name = file.name.removesuffix(".svg")
    # the files are those of the package
    inner = Markup(re.sub(r"\s+", " ", found[1]).strip())  # noqa: S704
    return Markup('<symbol id="icon-{}" viewBox="0 0 24 24">{}</symbol>').format(name, inner)
