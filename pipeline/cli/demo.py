"""`slipway demo`: two posts to TikTok and Instagram through the API, watched until live, then held to account."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.cli.demo_compare import Compared, Ours
    from pipeline.cli.demo_stack import Stage

PLATFORMS = ("tiktok", "instagram")
PATIENCE = 120.0
"""Seconds after the last due time."""
IMAGES = 3


@click.command(epilog=f"{EXAMPLE}slipway demo --ahead 60")
@click.option(
    "--ahead",
    type=click.IntRange(0, 3600),
    default=45,
    show_default=True,
    metavar="SECONDS",
    help="When the second post is due; within 30 s means at once.",
)
@json_option
def command(ahead: int, *, as_json: bool) -> None:
    """Publish a video now and a slideshow a little later to the sandbox's TikTok and Instagram, and check both.

    Uses the `slipway up` of this folder, or starts one for itself. Exit status 1 unless each is live exactly once.
    """
    from rich.console import Console

    from pipeline.cli.demo_stack import stage
    from pipeline.cli.runtime import sentences

    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    console = Console(stderr=as_json)

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    with sentences(), stage(say) as found:
        compared, differences = _play(found, ahead, console)
        if not as_json:
            _print(compared, differences)
    seconds = time.monotonic() - began
    if as_json:
        _print_json(compared, differences, seconds)
    else:
        click.echo(f"The demo took {seconds:.1f} s.")
    sys.exit(1 if differences else 0)


def _play(stage: Stage, ahead: int, console: Console) -> tuple[list[Compared], list[str]]:
    """Post, watch, compare."""
    from pipeline.cli.demo_compare import compare
    from pipeline.cli.demo_follow import follow

    accounts, marker = _accounts(stage), f"demo-{secrets.token_hex(4)}"
    bodies = _bodies(stage.summary.media, accounts, ahead, marker)
    posts = {name: _post(stage, body) for name, body in bodies.items()}
    follow(lambda post: _api(stage, "GET", f"posts/{post}"), posts, ahead + PATIENCE, console)
    return compare(_ours(stage, posts), _theirs(stage), marker)


def _accounts(stage: Stage) -> list[str]:
    """The sandbox's accounts on the demo's platforms, as far as an adapter speaks for them."""
    from pipeline.wiring import build

    context = build(stage.settings)
    context.database.close()
    spoken = {platform.value for platform in context.adapters}
    found = [stage.summary.accounts[p] for p in PLATFORMS if p in spoken and p in stage.summary.accounts]
    if not found:
        raise click.ClickException(
            f"The stack has no sandbox account on {' or '.join(PLATFORMS)}: "
            "add one with `slipway account add-sandbox`, or try the demo in a fresh folder."
        )
    return found


def _bodies(media: str, accounts: Sequence[str], ahead: int, marker: str) -> dict[str, dict[str, Any]]:
    """Real files, served by the sandbox's media host: an MP4 and three JPEGs."""
    common = {"accounts": [{"id": account} for account in accounts]}
    images = [f"{media}/media/sample-{number}.jpg" for number in range(1, IMAGES + 1)]
    due = (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()
    return {
        "video": {
            "caption": f"Slipway {marker}: a video, now",
            "media": {"type": "video", "url": f"{media}/media/sample.mp4"},
            **common,
        },
        "slideshow": {
            "caption": f"Slipway {marker}: a slideshow, {ahead} s ahead",
            "media": {"type": "slideshow", "urls": images},
            "scheduled_at": due,
            **common,
        },
    }


def _post(stage: Stage, body: Mapping[str, Any]) -> str:
    identity: str = _api(stage, "POST", "posts", json=body)["id"]
    return identity


def _api(stage: Stage, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """One request as any client makes it; its data. Raises ClickException."""
    import requests

    try:
        answer = requests.request(
            method,
            f"{stage.summary.api}/api/partner/v1/{path}",
            timeout=30,
            headers={"Authorization": f"Bearer {stage.summary.key}"},
            **sent,
        )
    except requests.RequestException as error:
        raise click.ClickException(
            f"The API at {stage.summary.api} does not answer ({type(error).__name__}): look at {stage.summary.logs}."
        ) from None
    if not answer.ok:
        raise click.ClickException(f"The API answered {answer.status_code} to {method} {path}: {answer.text}")
    data: dict[str, Any] = answer.json()["data"]
    return data


def _theirs(stage: Stage) -> list[dict[str, Any]]:
    """What went live, by the sandbox's own record."""
    from pipeline.embedded.control import Control, ControlError

    try:
        found: list[dict[str, Any]] = Control(stage.summary.sandbox, stage.summary.sandbox_token).call(
            "GET", "ledger"
        )
    except ControlError as error:
        raise click.ClickException(f"The sandbox: {error} Look at {stage.summary.logs}.") from None
    return found


def _ours(stage: Stage, posts: Mapping[str, str]) -> list[Ours]:
    """Our own rows, from the tables and not from the API."""
    from pipeline.cli.demo_compare import Ours
    from pipeline.store.accounts.accounts import list_accounts
    from pipeline.store.database import Database
    from pipeline.store.posts.views import read_post

    database = Database(stage.settings.store.url.get_secret_value(), pool=1)
    try:
        with database.begin() as c:
            remote = {account.id: account.remote_id for account in list_accounts(c)}
            views = {
                name: read_post(c, UUID(stage.summary.workspace), UUID(post)) for name, post in posts.items()
            }
    finally:
        database.close()
    return [
        Ours(
            post=name,
            caption=view.caption,
            platform=d.platform,
            username=d.username,
            account=remote[d.account_id],
            state=d.state,
            due_at=d.due_at,
            remote_id=d.remote_id,
            url=d.url,
            error=None if d.error is None else d.error["message"],
        )
        for name, view in views.items()
        if view
        for d in view.deliveries
    ]


def _print_json(compared: Sequence[Compared], differences: Sequence[str], seconds: float) -> None:
    rows = [one.facts() for one in compared]
    said = {"agrees": not differences, "differences": list(differences), "seconds": round(seconds, 1)}
    click.echo(json.dumps({"deliveries": rows, **said}, indent=2, ensure_ascii=False))


def _print(compared: Sequence[Compared], differences: Sequence[str]) -> None:
    click.echo("\nPublished:")
    for one in compared:
        click.echo(f"  {one.ours.post:<10} {one.ours.platform:<10} {one.ours.url or '(no address)'}")
    click.echo("\nOur rows beside the sandbox's own ledger:")
    for one in compared:
        entries = ", ".join(f"{e['remote_id']} at {e['at']}" for e in one.theirs) or "nothing"
        late = "" if one.late is None else f", {one.late:.2f} s after its time"
        ours = f"{one.ours.remote_id or ''} {one.ours.state}"
        click.echo(f"  {one.ours.post:<10} {one.ours.platform:<10} ours:   {ours}")
        click.echo(f"  {'':<21} ledger: {entries}{late}")
    for difference in differences:
        click.echo(f"Differs: {difference}", err=True)
    click.echo(
        f"\n{'They differ.' if differences else f'All {len(compared)} are live, each exactly once.'}\n"
    )


def _stop(*_: object) -> NoReturn:
    """Ends as Ctrl-C does, so that the demo's stack is ended too."""
    raise KeyboardInterrupt
