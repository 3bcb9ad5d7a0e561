"""Pages as HTML: the static files they name, their templates, and the page of an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from http import HTTPStatus
from importlib.resources import files
from mimetypes import guess_type
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline.api.http.envelope import RETRY_AFTER
from pipeline.api.http.representation import NegotiatedResponse
from pipeline.dashboard.visitor import CrossSite, Forbidden, Visitor
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


def render(
    request: Request, visitor: Visitor | None, template: str, status: int = 200, **context: Any
) -> HTMLResponse:
    """Return a page; for a request of htmx, its block ``content`` only."""
    found = _environment().get_template(template)
    values = {
        "visitor": visitor,
        "csrf": visitor.csrf if visitor else "",
        "navigation": request.app.state.navigation,
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "is_fragment": "hx-request" in request.headers,
        **context,
    }
    return HTMLResponse(found.render(values).encode("utf-8", "replace"), status, {"Vary": "HX-Request"})


def format_instant(instant: datetime | None, zone: str = "UTC", *, to_second: bool = False) -> Markup:
    """Return a ``<time>`` with the zone shown, to the minute or second; a dash for None."""
    if instant is None:
        return Markup("&ndash;")
    exact = instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    local = instant.astimezone(ZoneInfo(zone))
    return Markup('<time datetime="{}" title="{}">{} {}</time>').format(
        exact,
        exact,
        local.strftime("%Y-%m-%d %H:%M:%S" if to_second else "%Y-%m-%d %H:%M"),
        local.tzname() if zone == "UTC" else zone,
    )


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
        duration=format_duration,
        state_badge=show_state,
        workspace_name=name_workspace,
        split_candidates=split_candidates,
        describe_candidate=describe_candidate,
    )
    environment.globals.update(static=static, name_product=name_product)
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
    visitor = getattr(request.state, "visitor", None)
    response = render(request, visitor, "error.html", status, title=title, sentence=sentence, code=status)
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
