"""Pages as HTML: the static files they name, their templates, and the page of an error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from http import HTTPStatus
from importlib.resources import files
from mimetypes import guess_type
from typing import Any
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline.api.http.envelope import RETRY_AFTER
from pipeline.api.http.representation import NegotiatedResponse
from pipeline.dashboard.clock import (
    find_page_zone,
    format_day,
    format_moment,
    format_offset,
    format_wall_time,
)
from pipeline.dashboard.visitor import CrossSite, Forbidden, Visitor
from pipeline.dashboard.words import (
    Standing,
    count_posts,
    load_sprite,
    name_cause,
    name_hold,
    name_platform,
    name_post,
    name_state,
    show_icon,
    show_mark,
)
from pipeline.domain.post import NO_TIME
from pipeline.domain.restore import describe_candidate, split_candidates
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

FOLDER = files("pipeline.dashboard") / "static"
_SERVED = frozenset({"text/css", "text/javascript", "image/svg+xml"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    digest: str


@lru_cache(maxsize=100)
def load_asset(name: str) -> Asset:
    """Return a file of the folder by its path in it. Raises KeyError for anything else."""
    media_type = guess_type(name)[0] or ""
    segments = name.split("/")
    file = FOLDER.joinpath(*segments)
    if media_type not in _SERVED or any(s in {"", ".", ".."} for s in segments) or not file.is_file():
        raise KeyError(name)
    content = file.read_bytes()
    return Asset(content=content, media_type=media_type, digest=hashlib.sha256(content).hexdigest()[:16])


def static(name: str) -> str:
    """Return the address of a file. It changes with the content. Raises KeyError."""
    return f"/dashboard/static/{load_asset(name).digest}/{name}"


async def send_asset(request: Request) -> Response:
    """Send a file; browsers keep it for ever. During an upgrade, pages of the other version get this version's."""
    try:
        asset = load_asset(request.path_params["name"])
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        raise HTTPException(404) from None
    is_current = request.path_params["digest"] == asset.digest
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
        "Vary": "Accept-Encoding",
    }
    return NegotiatedResponse(asset.content, headers=headers, media_type=asset.media_type)


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page; for a request of htmx, its block ``content`` only."""
    found = _environment().get_template(template)
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    zone, now = find_page_zone(request), datetime.now(UTC)
    values = {
        "zone": zone,
        "zone_name": zone.key.rpartition("/")[2].replace("_", " "),
        "offset": format_offset(now, zone),
        "now": now,
        "visitor": visitor,
        "csrf": visitor.csrf if visitor else "",
        "navigation": request.app.state.navigation,
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "is_fragment": "hx-request" in request.headers,
        **context,
    }
    return HTMLResponse(found.render(values).encode("utf-8", "replace"), status, {"Vary": "HX-Request"})


def render_form(request: Request, template: str, problem: Sequence[str] = (), **context: Any) -> HTMLResponse:
    """Return a page with a form that keeps its input, unless something was made of it, which is shown this once.

    *problem*: a field, and the sentence beside it.
    """
    field, sentence = problem or ("", "")
    given = FormData() if context.get("made") else getattr(request.state, "form", FormData())
    shown = {"given": given, "problems": {field: sentence}, **context}
    return render(request, template, 422 if problem else 200, **shown)


@pass_context
def format_instant(context: Context, instant: datetime | None, *, to_second: bool = False) -> Markup:
    """Return a ``<time>`` by the session's clock, to the minute or second; a dash for None, and for a draft's."""
    if instant is None or instant >= NO_TIME:
        return Markup("&ndash;")
    exact = instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    shown = format_moment(instant, context["zone"], context["now"], to_second=to_second)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, exact, shown)


@pass_context
def format_wall(context: Context, instant: datetime) -> str:
    """Return the wall time of the session's clock, to the minute, as the field for one takes it; none for a draft."""
    return "" if instant >= NO_TIME else format_wall_time(instant, context["zone"])[:16]


@pass_context
def format_clock(context: Context, instant: datetime, *, to_second: bool = False) -> str:
    """Return the hour and minute by the session's clock."""
    return instant.astimezone(context["zone"]).strftime("%H:%M:%S" if to_second else "%H:%M")


@pass_context
def format_stored(context: Context, text: object) -> str:
    """Return a time that is stored as text by the session's clock, for the middle of a sentence."""
    try:
        return format_moment(datetime.fromisoformat(str(text)), context["zone"], context["now"]).replace(
            ",", ""
        )
    except (ValueError, OverflowError):
        return "an unknown time"


_UTC = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_DELIVERY = re.compile(r"\bdeliver(?:y|ie(?=s))", re.IGNORECASE)


@pass_context
def format_plainly(context: Context, text: str, accounts: Sequence[Standing]) -> str:
    """Return a sentence of ours as people say it: accounts by their names, times by the session's clock."""
    for one in accounts:
        ids = rf"(?:delivery )?{one.id}|(?:{one.platform} )?(?:account )?{one.account_id}"
        name = f"{one.username} on {name_platform(one.platform)}"
        text = name.join(re.split(ids, text, flags=re.IGNORECASE))
    text = _UTC.sub(lambda found: format_stored(context, f"{found[1]}Z"), text)
    return _DELIVERY.sub("post", text)


@pass_context
def format_date(context: Context, instant: datetime) -> str:
    """Return the day by the session's clock."""
    today = context["now"].astimezone(context["zone"]).date()
    return format_day(instant.astimezone(context["zone"]).date(), today)


def name_product(platform: str, connection: str) -> str:
    """Return what an account is connected through: ``tiktok business``, ``instagram login``."""
    words = connection.split("_")
    return " ".join(words if words[0] == platform else [platform, *words])


def format_duration(span: timedelta) -> str:
    """Return the two largest units: ``3 h 5 min``."""
    seconds = abs(int(span.total_seconds()))
    parts = []
    for unit, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def show_state(state: str) -> Markup:
    """Return a state of a post or delivery as a badge; unknown words are shown as they are."""
    return Markup('<span class="badge" data-state="{}">{}</span>').format(state, state.replace("_", " "))


@pass_context
def name_workspace(context: Context, workspace: UUID) -> str:
    """Return the name of a workspace of the visitor."""
    visitor: Visitor = context["visitor"]
    return visitor.names.get(workspace, str(workspace))


_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        instant=format_instant,
        clock=format_clock,
        wall=format_wall,
        moment=format_stored,
        plain=format_plainly,
        span=lambda seconds: format_duration(timedelta(seconds=seconds)),
        day=format_date,
        duration=format_duration,
        state_badge=show_state,
        workspace_name=name_workspace,
        split_candidates=split_candidates,
        describe_candidate=describe_candidate,
    )
    environment.globals.update(
        static=static,
        sprite=load_sprite,
        icon=show_icon,
        logo=show_mark,
        name_product=name_product,
        name_platform=name_platform,
        name_state=name_state,
        name_post=name_post,
        name_cause=name_cause,
        name_hold=name_hold,
        count_posts=count_posts,
    )
    return environment


_TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    403: "Not allowed",
    404: "Not found",
    409: "Changed in the meantime",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not available now",
}
_SENTENCES: Mapping[int, str] = {
    404: "There is nothing at this address, or nothing that you may see.",
    405: "This address does not take this kind of request.",
    500: "It is in the server's log. The action may or may not have been done: look before you repeat it.",
}


def render_error(request: Request, error: Exception) -> Response:
    """Return the page for an exception; 500 for one that is a bug. Headers of the exception are kept."""
    status, sentence, headers = _describe(error)
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    response = render(request, "error.html", status, title=title, sentence=sentence, code=status)
    response.headers.update(headers)
    return response


def _describe(error: Exception) -> tuple[int, str, Mapping[str, str]]:
    match error:
        case Forbidden() | CrossSite():
            return 403, str(error), {}
        case Refusal():
            always = {"Retry-After": str(RETRY_AFTER)} if error.status == 503 else {}  # noqa: PLR2004  an HTTP status
            return error.status, error.message, {**always, **getattr(error, "headers", {})}
        case Unreachable():
            sentence = "The database cannot be reached. Repeat the request in a few seconds."
            return 503, sentence, {"Retry-After": str(RETRY_AFTER)}
        case HTTPException():
            is_own = error.detail != HTTPStatus(error.status_code).phrase
            sentence = error.detail if is_own else _SENTENCES.get(error.status_code, error.detail)
            return error.status_code, sentence, error.headers or {}
        case _:
            return 500, _SENTENCES[500], {}
