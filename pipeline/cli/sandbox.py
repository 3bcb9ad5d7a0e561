"""`slipway sandbox`: serve six platforms on this machine, inject faults, read the ledger of what went live."""

from __future__ import annotations

import json
from typing import Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_fields, print_rows
from pipeline.cli.runtime import call_sandbox


@click.group()
def command() -> None:
    """The sandbox: local servers that behave like the platforms."""


@command.command(epilog=EXAMPLE + "slipway sandbox serve")
@json_option
def serve(*, as_json: bool) -> None:
    """Run the sandbox in the foreground, at SLIPWAY_SANDBOX__URL and SLIPWAY_SANDBOX__MEDIA_URL; print both first."""
    from config.settings import settings
    from pipeline.cli.serve import exec_python
    from pipeline.embedded.sandbox import build_arguments, build_environment

    s = settings().sandbox
    arguments = build_arguments(settings())
    print_fields({"url": s.url, "media_url": s.media_url}, as_json=as_json)
    exec_python(*arguments, environment=build_environment(s))


@command.command(
    epilog="Example: the next visible call to TikTok takes effect, then its answer is lost.\n\n\b\n"
    "  slipway sandbox fault tiktok finalize effect-then-drop --times 1\n\n"
    "Or its answer is a proxy's page:\n\n\b\n"
    "  slipway sandbox fault tiktok finalize effect-then-answer --times 1 --status 401 --body '<html>…'"
)
@click.argument("platform")
@click.argument("step")
@click.argument("fault")
@click.option("--times", type=click.IntRange(1), help="How often it occurs. Default: until cleared.")
@click.option("--account", help="Only this account, by its id at the platform.")
@click.option("--delay-ms", type=click.IntRange(0), help="For latency: milliseconds.")
@click.option("--retry-after", type=click.IntRange(0), help="For 429: the Retry-After header, in seconds.")
@click.option("--reason", help="For fail-processing: the reason that the platform reports.")
@click.option(
    "--status", type=click.IntRange(200, 599), help="For answer, effect-then-answer: the HTTP status."
)
@click.option("--body", help="For answer, effect-then-answer: the body. Default: empty.")
@json_option
def fault(*, as_json: bool, **order: str | int | None) -> None:
    """Inject a fault. A wrong PLATFORM, STEP or FAULT is answered with the list of right ones."""
    made = call_sandbox(
        "POST", "faults", json={name: value for name, value in order.items() if value is not None}
    )
    click.echo(
        json.dumps(made) if as_json else f"Fault {made['id']} is on. `slipway sandbox faults` lists them."
    )


@command.command(epilog=EXAMPLE + "slipway sandbox faults --clear all")
@click.option("--clear", metavar="ID|all", help="Clear one fault, or all of them.")
@json_option
def faults(clear: str | None, *, as_json: bool) -> None:
    """List injected faults, with how often each will still occur."""
    if clear:
        call_sandbox("DELETE", "faults" if clear == "all" else f"faults/{clear}")
    print_rows(call_sandbox("GET", "faults"), as_json=as_json, empty="No faults.")


@command.command(epilog=EXAMPLE + "slipway sandbox ledger --platform tiktok")
@click.option("--platform", help="Only this platform.")
@click.option("--account", help="Only this account, by its id at the platform.")
@json_option
def ledger(platform: str | None, account: str | None, *, as_json: bool) -> None:
    """Print what went live, oldest first: the sandbox's own record, independent of the database."""
    entries = call_sandbox("GET", "ledger", params={"platform": platform, "account": account})
    print_rows(
        [_shorten(entry) for entry in entries] if not as_json else entries,
        as_json=as_json,
        empty="Nothing went live.",
    )


@command.command(epilog=EXAMPLE + "slipway sandbox reset --ledger")
@click.option("--ledger", is_flag=True, help="Also empty the ledger.")
@json_option
def reset(*, ledger: bool, as_json: bool) -> None:
    """Delete accounts, tokens, faults and unfinished uploads; the ledger only with --ledger."""
    call_sandbox("POST", "reset", json={"ledger": ledger})
    if as_json:
        print_fields({"reset": True, "ledger_emptied": ledger}, as_json=True)
    else:
        click.echo("The sandbox is reset." + (" Its ledger is empty." if ledger else " Its ledger stays."))


@command.command(epilog=EXAMPLE + "slipway sandbox pace instant --no-quotas")
@click.argument("pace", type=click.Choice(["real", "instant"]))
@click.option("--quotas/--no-quotas", default=None, help="Enforce or lift rate limits and daily caps.")
@json_option
def pace(pace: str, *, quotas: bool | None, as_json: bool) -> None:
    """Set how long platforms process: as long as real ones, or not at all."""
    now = call_sandbox("POST", "pace", json={"pace": pace} | ({} if quotas is None else {"quotas": quotas}))
    if as_json:
        print_fields(now, as_json=True)
    else:
        click.echo(f"Pace {now['pace']}, quotas {'on' if now['quotas'] else 'lifted'}.")


def _shorten(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep the columns that fit a terminal; `--json` has all."""
    return {name: entry[name] for name in ("at", "platform", "kind", "remote_id", "caption", "url")}
