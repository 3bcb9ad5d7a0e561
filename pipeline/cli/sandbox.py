"""`slipway sandbox`: run the stand-ins of the platforms, order faults, read what went live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import json_option, show

if TYPE_CHECKING:
    from pipeline.embedded.control import Control


@click.group()
def command() -> None:
    """The local stand-ins of the platforms."""


@command.command(epilog="Example:\n\n  slipway sandbox serve")
def serve() -> None:
    """Run the sandbox in the foreground, at SLIPWAY_SANDBOX__URL and SLIPWAY_SANDBOX__MEDIA_URL."""
    from config.settings import settings
    from pipeline.cli.serve import become
    from pipeline.embedded.sandbox import arguments, environment

    become(*arguments(settings()), environment=environment(settings().sandbox))


@command.command(
    epilog="Example: the next visible call to TikTok takes effect, then its answer is lost.\n\n"
    "  slipway sandbox fault tiktok finalize effect-then-drop --times 1"
)
@click.argument("platform")
@click.argument("step")
@click.argument("fault")
@click.option("--times", type=click.IntRange(1), help="How often it strikes; without it until it is cleared.")
@click.option("--account", help="Only this account, by its id at the platform.")
@click.option("--delay-ms", type=click.IntRange(0), help="For latency: how long.")
@click.option("--retry-after", type=click.IntRange(0), help="For 429: what Retry-After says, in seconds.")
@click.option("--reason", help="For fail-processing: the platform's word for why.")
@json_option
def fault(*, as_json: bool, **order: str | int | None) -> None:
    """Order a fault. A wrong PLATFORM, STEP or FAULT is answered with the list of right ones."""
    made = call("POST", "faults", json={name: value for name, value in order.items() if value is not None})
    click.echo(
        json.dumps(made) if as_json else f"Fault {made['id']} is on. `slipway sandbox faults` lists them."
    )


@command.command(epilog="Example:\n\n  slipway sandbox faults --clear all")
@click.option("--clear", metavar="ID|all", help="Clear one fault, or all of them.")
@json_option
def faults(clear: str | None, *, as_json: bool) -> None:
    """List the faults that were ordered, with how often each will still strike."""
    if clear:
        call("DELETE", "faults" if clear == "all" else f"faults/{clear}")
    show(call("GET", "faults"), as_json=as_json, empty="No faults.")


@command.command(epilog="Example:\n\n  slipway sandbox ledger --platform tiktok")
@click.option("--platform", help="Only this platform.")
@click.option("--account", help="Only this account, by its id at the platform.")
@json_option
def ledger(platform: str | None, account: str | None, *, as_json: bool) -> None:
    """Print what went live, oldest first: the sandbox's own record, which knows nothing of our tables."""
    entries = call("GET", "ledger", params={"platform": platform, "account": account})
    show(
        [_short(entry) for entry in entries] if not as_json else entries,
        as_json=as_json,
        empty="Nothing went live.",
    )


@command.command(epilog="Example:\n\n  slipway sandbox reset --ledger")
@click.option("--ledger", is_flag=True, help="Also empty the ledger.")
def reset(*, ledger: bool) -> None:
    """Forget accounts, tokens, faults and half-done uploads; the ledger stays unless told otherwise."""
    call("POST", "reset", json={"ledger": ledger})
    click.echo("The sandbox starts afresh." + (" Its ledger is empty." if ledger else " Its ledger stays."))


@command.command(epilog="Example:\n\n  slipway sandbox pace instant --no-quotas")
@click.argument("pace", type=click.Choice(["real", "instant"]))
@click.option("--quotas/--no-quotas", default=None, help="Keep or lift rate limits and daily caps.")
def pace(pace: str, *, quotas: bool | None) -> None:
    """Let platforms take their time, or be done at once."""
    now = call("POST", "pace", json={"pace": pace} | ({} if quotas is None else {"quotas": quotas}))
    click.echo(f"Pace {now['pace']}, quotas {'on' if now['quotas'] else 'lifted'}.")


def call(method: str, path: str, **sent: Any) -> Any:
    """One call of the sandbox's control API; what it refuses ends the command with its sentence."""
    from pipeline.embedded.control import ControlError

    try:
        return _control().call(method, path, **sent)
    except ControlError as error:
        raise click.ClickException(str(error)) from None


def _control() -> Control:
    from config.settings import settings
    from pipeline.embedded.control import Control

    s = settings().sandbox
    if not s.url:
        raise click.ClickException(
            "The sandbox is off: SLIPWAY_SANDBOX__URL is empty. Run this in the folder of a running `slipway up`."
        )
    return Control(s.url, s.control_token.get_secret_value())


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """What fits a terminal; `--json` has the rest."""
    return {name: entry[name] for name in ("at", "platform", "kind", "remote_id", "caption", "url")}
