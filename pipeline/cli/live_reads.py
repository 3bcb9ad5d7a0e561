"""What can be asked of a platform without publishing anything: the table behind `slipway live-check`.

Addresses are the vendors' own, as the adapters' READMEs cite them (read 2026-11-24). The answer to each is judged as to
one thing: would it keep the next post from going out?
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal, Protocol, runtime_checkable

from adapters.contract import Account, Platform, PlatformSettings
from adapters.http import Answer, Client, NoAnswer, NotSent

Result = Literal["ok", "warn", "fail"]
SOON = timedelta(days=7)
FULL = 95
"""Per cent of Meta's usage headers above which its adapters wait by themselves."""
READ_POSTS = ("/v2/post/publish/creator_info/query/", "/tt_user/token_info/get/")
"""Reads that their vendor lets be made by POST only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was checked. ``fail``: a post would not go out as things are."""

    check: str
    result: Result
    says: str


@runtime_checkable
class ChecksLive(Protocol):
    """An adapter may say for itself what to ask; else the table below does."""

    def check_live(self, account: Account) -> Iterator[Finding]:
        """Reads only."""
        ...


class MayOnlyRead(Client):
    """The client of a check: whatever is asked of it, nothing can be changed by it."""

    def call(self, method: str, url: str, *, visible: bool = False, **more: Any) -> Answer:
        """As the client's; RuntimeError for everything that is not known to be a read."""
        if visible or (method != "GET" and not url.partition("?")[0].endswith(READ_POSTS)):
            raise RuntimeError(f"A check makes no {method} there.")
        return super().call(method, url, visible=False, **more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One account at one platform, and a client that can only read."""

    client: Client
    settings: PlatformSettings
    account: Account

    @property
    def token(self) -> str:
        """The access token."""
        return self.account.credentials.access_token.get_secret_value()

    def read(
        self, host: str, path: str, *, method: str = "GET", header: str = "Authorization", **call: Any
    ) -> Read:
        """One request and what it said; silence has status 0."""
        word = self.token if header == "Access-Token" else f"Bearer {self.token}"
        headers = {header: word, **call.pop("headers", {})}
        try:
            answer = self.client.call(method, f"{self.settings.hosts[host]}/{path}", headers=headers, **call)
        except (NotSent, NoAnswer) as error:
            return Read(status=0, why=str(error))
        try:
            found = answer.json()
        except ValueError:
            found = None
        return Read(
            status=answer.status, body=found if isinstance(found, dict) else {}, headers=answer.headers
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """An answer; ``body`` may hold secrets and is out of the repr."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    why: str = ""

    def at(self, *keys: str | int) -> Any:
        """What lies there, or None."""
        found: Any = self.body
        for key in keys:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    @property
    def refusal(self) -> str | None:
        """Why it is no yes, in words that hold no secret: the status, and the platform's code where it has one."""
        if self.status == 0:
            return f"no answer: {self.why}"
        code = self.at("error", "code") if isinstance(self.at("error"), dict) else self.at("code")
        told = f"HTTP {self.status}" + (f", code {code}" if isinstance(code, str | int) else "")
        return None if self.status == HTTPStatus.OK and code in (None, 0, "ok") else f"refused: {told}"


Check = Callable[[Asked], Iterator[Finding]]


def _good(check: str, says: str) -> Finding:
    return Finding(check=check, result="ok", says=says)


def _bad(check: str, says: str) -> Finding:
    return Finding(check=check, result="fail", says=says)


# --- TikTok ----------------------------------------------------------------------------------------------------------


def _creator(asked: Asked) -> Iterator[Finding]:
    read = asked.read("api", "v2/post/publish/creator_info/query/", method="POST")
    spam = "spam_risk" in str(read.at("error", "code"))
    if spam:
        yield _bad("quota", f"TikTok takes no post of this account now: {read.at('error', 'code')}")
    elif read.refusal:
        yield _bad("limits", f"creator_info: {read.refusal}")
    else:
        levels, longest = (
            read.at("data", name) for name in ("privacy_level_options", "max_video_post_duration_sec")
        )
        yield _good("quota", "creator_info lets this account post now")
        yield _good("limits", f"privacy: {', '.join(levels or ())}; videos of at most {longest} s")


def _business(asked: Asked) -> Iterator[Finding]:
    read = asked.read(
        "business",
        "business/video/settings/",
        header="Access-Token",
        params={"business_id": asked.account.remote_id},
    )
    if read.refusal:
        yield _bad("limits", f"video/settings: {read.refusal}")
    else:
        yield _good("limits", f"videos of at most {read.at('data', 'max_video_post_duration_sec')} s")
        yield _unread("the fifteen posts a day of the Accounts API")


# --- Meta ------------------------------------------------------------------------------------------------------------


def _instagram(asked: Asked) -> Iterator[Finding]:
    host = "facebook_graph" if asked.account.connection == "facebook_login" else "graph"
    path = f"{asked.settings.version}/{asked.account.remote_id}/content_publishing_limit"
    read = asked.read(host, path, params={"fields": "config,quota_usage"})
    used, most = read.at("data", 0, "quota_usage"), read.at("data", 0, "config", "quota_total")
    if read.refusal:
        yield _bad("quota", f"content_publishing_limit: {read.refusal}")
    elif not isinstance(used, int) or not isinstance(most, int):
        yield Finding(check="quota", result="warn", says="content_publishing_limit gave no numbers")
    else:
        full = used >= most
        yield Finding(
            check="quota", result="fail" if full else "ok", says=f"{used} of {most} posts in 24 hours used"
        )
    yield from _usage(read)


_META_STALE = 190


def _facebook(asked: Asked) -> Iterator[Finding]:
    page = f"{asked.settings.version}/{asked.account.remote_id}"
    read = asked.read("graph", page, params={"fields": "id,name"})
    if read.at("error", "code") == _META_STALE:
        yield stale(asked.account, "Facebook no longer takes the Page's token")
        return
    if read.refusal:
        yield _bad("account", f"the Page: {read.refusal}")
        return
    same = str(read.at("id")) == asked.account.remote_id
    yield (
        _good("account", f"the token reads the Page {read.at('name')}")
        if same
        else _bad("account", f"the token is for {read.at('id')}, not for {asked.account.remote_id}")
    )
    yield from _usage(read)
    yield _unread("the thirty reels a day of a Page")


def _usage(read: Read) -> Iterator[Finding]:
    for name in ("X-App-Usage", "X-Business-Use-Case-Usage"):
        numbers = _percents(read.headers.get(name, ""))
        if numbers:
            most = max(numbers)
            yield Finding(
                check="quota", result="warn" if most > FULL else "ok", says=f"{name}: {most} % used"
            )


def _percents(header: str) -> list[int]:
    try:
        found = json.loads(header)
    except ValueError:
        return []
    rows = (
        [found]
        if not isinstance(found, dict) or "call_count" in found
        else [r for v in found.values() for r in v]
    )
    return [
        row[name]
        for row in rows
        if isinstance(row, dict)
        for name in ("call_count", "total_time", "total_cputime")
        if isinstance(row.get(name), int)
    ]


# --- the others ------------------------------------------------------------------------------------------------------


def _youtube(asked: Asked) -> Iterator[Finding]:
    read = asked.read("api", "youtube/v3/channels", params={"part": "status", "mine": "true"})
    if read.refusal:
        yield _bad("quota", f"channels.list: {read.refusal}")
        return
    long = read.at("items", 0, "status", "longUploadsStatus")
    yield _good("quota", "the project's quota of reads is not spent")
    yield _good(
        "limits",
        "videos of 12 hours" if long == "allowed" else f"videos of 15 minutes (long uploads: {long})",
    )
    yield _unread("the hundred uploads a day of the project")


def _pinterest(asked: Asked) -> Iterator[Finding]:
    board = asked.account.settings.get("default_board")
    if board is None:
        yield Finding(check="limits", result="warn", says="no default board: each post has to name one")
        read = asked.read("api", "boards", params={"page_size": 1})
    else:
        read = asked.read("api", f"boards/{board}")
    if read.refusal:
        yield _bad("limits", f"the board: {read.refusal}")
        return
    if board is not None:
        yield _good("limits", f"the default board is {read.at('name')}")
    left = read.headers.get("x-ratelimit-remaining")
    yield _good("quota", f"{left} more reads this minute" if left else "Pinterest tells no numbers here")


def _linkedin(_: Asked) -> Iterator[Finding]:
    yield _unread("the hundred posts a day of a member")


def _unread(what: str) -> Finding:
    return Finding(
        check="quota", result="ok", says=f"{what}: cannot be asked, the platform would refuse in time"
    )


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What an account of one connection needs. ``useful``: without it posts go out, but something else is missing."""

    needed: tuple[str, ...]
    check: Check
    useful: Mapping[str, str] = field(default_factory=dict)
    """Scope -> what is missing without it."""
    discovers: bool = True
    """Whether the adapter's ``discover`` can say whose access token it is."""


_FOUND_AGAIN = "a post whose answer was lost cannot be looked for"
ROWS: Mapping[tuple[Platform, str], Row] = {
    (Platform.TIKTOK, "creator"): Row(
        needed=("user.info.basic", "video.publish"),
        useful={"video.list": _FOUND_AGAIN, "video.upload": "no drafts"},
        check=_creator,
    ),
    (Platform.TIKTOK, "business"): Row(
        needed=("video.publish",), useful={"video.list": _FOUND_AGAIN}, check=_business
    ),
    (Platform.INSTAGRAM, "instagram_login"): Row(
        needed=("instagram_business_basic", "instagram_business_content_publish"), check=_instagram
    ),
    (Platform.INSTAGRAM, "facebook_login"): Row(
        needed=("instagram_basic", "instagram_content_publish"), check=_instagram
    ),
    # a Page's token lists no Pages: the Page is read instead
    (Platform.FACEBOOK, "page"): Row(needed=("pages_manage_posts",), check=_facebook, discovers=False),
    (Platform.YOUTUBE, "channel"): Row(
        needed=("https://www.googleapis.com/auth/youtube.upload",),
        useful={"https://www.googleapis.com/auth/youtube.readonly": _FOUND_AGAIN},
        check=_youtube,
    ),
    (Platform.PINTEREST, "user"): Row(
        needed=("pins:write", "boards:read"), useful={"pins:read": _FOUND_AGAIN}, check=_pinterest
    ),
    (Platform.LINKEDIN, "person"): Row(needed=("w_member_social",), check=_linkedin),
    (Platform.LINKEDIN, "organization"): Row(
        needed=("w_organization_social",), useful={"r_organization_social": _FOUND_AGAIN}, check=_linkedin
    ),
}


def scopes(account: Account, row: Row) -> Iterator[Finding]:
    """What the grant lacks."""
    granted = set(account.credentials.scopes)
    if not granted:
        yield Finding(check="scopes", result="warn", says="the platform never said what was granted")
        return
    if missing := [scope for scope in row.needed if scope not in granted]:
        yield _bad("scopes", f"not granted: {', '.join(missing)}; connect the account again")
    else:
        yield _good("scopes", "all that publishing needs is granted")
    for scope, without in row.useful.items():
        if scope not in granted:
            yield Finding(check="scopes", result="warn", says=f"{scope} is not granted: {without}")


def stale(account: Account, why: str) -> Finding:
    """A token that is not taken any more: no trouble where the account has one to renew it with."""
    renewed = account.credentials.refresh_token is not None
    after = (
        "it is renewed before the next post; nothing more was asked"
        if renewed
        else "connect the account again"
    )
    return Finding(check="token", result="warn" if renewed else "fail", says=f"{why}: {after}")


def expiry(account: Account) -> Iterator[Finding]:
    """How long the grant lives; nothing is refreshed here: that would rotate tokens."""
    now, grant = datetime.now(UTC), account.credentials
    if grant.expires_at is not None and grant.expires_at <= now and grant.refresh_token is None:
        yield _bad("token", f"it ended at {grant.expires_at:%Y-%m-%d %H:%M} UTC and cannot be renewed")
    elif grant.refresh_expires_at is not None and grant.refresh_expires_at <= now:
        yield _bad(
            "token", f"its renewal ended at {grant.refresh_expires_at:%Y-%m-%d %H:%M} UTC; connect it again"
        )
    else:
        ends = grant.refresh_expires_at or (None if grant.refresh_token else grant.expires_at)
        soon = ends is not None and ends - now < SOON
        says = (
            "the grant does not end by time"
            if ends is None
            else f"the grant lives until {ends:%Y-%m-%d %H:%M} UTC"
        )
        yield Finding(check="token", result="warn" if soon else "ok", says=says)
