"""Render templates.

Everything that is put into them is escaped: captions, file names and platforms' errors are hostile text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pipeline.dashboard.assets import static
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.restored_post import describe_candidate, split_candidates


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
