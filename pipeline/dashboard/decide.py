"""The page on which an operator resolves a delivery, live or not, or resumes a blocked one.

Also the URL of an account's public page on its platform, where a user can see whether a post is live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from adapters.contract import Platform
from pipeline.actions import resolve
from pipeline.actions.resolve import CannotResolve
from pipeline.dashboard.actions import DECIDE
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.accounts.health import find_identity
from pipeline.store.deliveries.queue import QueuedDelivery
from pipeline.store.deliveries.queue_posts import list_queued_posts, read_queued_posts
from pipeline.store.deliveries.selection import DeliveryFacts, ListFilter
from pipeline.store.posts.views import DeliveryView

_ORGANIZATION = "urn:li:organization:"
PAGES: Mapping[Platform, str] = {
    Platform.TIKTOK: "https://www.tiktok.com/@{username}",
    Platform.INSTAGRAM: "https://www.instagram.com/{username}/",
    Platform.YOUTUBE: "https://www.youtube.com/channel/{remote_id}",
    Platform.PINTEREST: "https://www.pinterest.com/{username}/",
    Platform.LINKEDIN: "https://www.linkedin.com/company/{remote_id}/",
    Platform.FACEBOOK: "https://www.facebook.com/{remote_id}",
}
MEMBER = "https://www.linkedin.com/in/me/recent-activity/all/"
"""LinkedIn members have no page by their id: this is the posts of the member who is logged in there."""


def build_account_page(platform: Platform, username: str, remote_id: str) -> str:
    """Return the URL of the account's page."""
    if platform is Platform.LINKEDIN and not remote_id.startswith(_ORGANIZATION):
        return MEMBER
    names = {"username": username.removeprefix("@"), "remote_id": remote_id.removeprefix(_ORGANIZATION)}
    return PAGES[platform].format(**{name: quote(value, safe="") for name, value in names.items()})


def read_account_page(c: Connection, account: UUID) -> str:
    """Return the URL of the page of a stored account."""
    platform, username, remote_id = find_identity(c, account)
    return build_account_page(Platform(platform), username, remote_id)


DECISIONS: Mapping[str, Callable[[Context, Actor, UUID, str], None]] = {
    "live": resolve.confirm_live,
    "again": lambda context, actor, delivery, _: resolve.publish_again(context, actor, delivery),
    "resume": lambda context, actor, delivery, _: resolve.resume(context, actor, delivery),
    "look": lambda context, actor, delivery, _: resolve.look_now(context, actor, delivery),
}
"""By name. The last argument is the address at which the operator saw the post."""


@page("/deliveries/{delivery_id}/decide", DECIDE)
async def show(request: Request, visitor: Visitor) -> Response:
    """Show the delivery, its known facts, and the decisions."""
    return await _render(request, await _find(request, visitor))


@page("/deliveries/{delivery_id}/decide", DECIDE, "POST")
async def decide(request: Request, visitor: Visitor) -> Response:
    """Take one decision; 409 with the reason where it cannot be taken."""
    found = await _find(request, visitor)
    form = request.state.form
    url = str(form.get("url", "")).strip()
    work = DECISIONS.get(str(form.get("decision", "")))
    if work is None:
        raise HTTPException(400, "There is no such decision.")
    if form["decision"] == "again" and form.get("confirm") != "yes":
        problem = f"Agree first: {explain_again(found.facts)}"
        return await _render(request, found, 400, problem=problem)
    try:
        await act(request, work, visitor.actor, found.facts.id, url)
    except CannotResolve as reason:
        return await _render(request, found, 409, problem=str(reason), url=url)
    return RedirectResponse(request.url.path, 303)


def explain_again(delivery: DeliveryFacts | DeliveryView) -> str:
    """Return the sentence that a user confirms before a delivery is published again."""
    return (
        f"I looked at the account {delivery.username} on {delivery.platform}, and the post is not there. "
        "If it is, it will be there twice."
    )


async def _render(
    request: Request,
    found: QueuedDelivery,
    status: int = 200,
    *,
    problem: str = "",
    url: str = "",
) -> Response:
    account_page = await read(request, read_account_page, found.facts.account_id)
    agreement = explain_again(found.facts)
    shown = {"found": found, "problem": problem, "url": url, "page": account_page, "agreement": agreement}
    return render(request, "decide.html", status, **shown)


async def _find(request: Request, visitor: Visitor) -> QueuedDelivery:
    """Return the delivery of the address. Raises HTTPException 404, and Forbidden for a smaller role."""
    identity = require_found(parse_id_or_none(request.path_params["delivery_id"]))
    found = require_found(await read(request, _read, identity, visitor.workspaces(Role.VIEWER)))
    visitor.require(found.workspace_id, DECIDE)
    return found


def _read(c: Connection, identity: UUID, within: tuple[UUID, ...]) -> QueuedDelivery | None:
    page = list_queued_posts(c, ListFilter(deliveries=(identity,)), within, limit=1)
    found = [one for post in read_queued_posts(c, page.posts, within) for one in post.deliveries]
    return next((one for one in found if one.facts.id == identity), None)
