"""`slipway key`: API keys.

Options of `slipway key` for a key's limits, and how they are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import lazy_imports
from pipeline.cli.options import DURATION, FUTURE, Parsed
from pipeline.cli.output import Group, answer, is_json, pick, print_fields, print_rows
from pipeline.cli.runtime import (
    build_caller,
    find_actor,
    find_workspace_id,
    open_context,
    open_transaction,
    require_account_of,
)
from pipeline.domain.account import (
    AGENT,
    KINDS,
    MAX_AHEAD_DAYS,
    MAX_LEAD_MINUTES,
    MAX_POSTS_PER_DAY,
    MAX_POSTS_PER_MINUTE,
    parse_limit,
)

with lazy_imports():
    from config import settings as config
    from pipeline import wiring
    from pipeline.actions import approve, keys
    from pipeline.actions import mandate as mandate_actions
    from pipeline.domain import validation_issue
    from pipeline.stages import mandate
    from pipeline.store.auth import keys as key_store
    from pipeline.store.auth import workspaces as workspace_store


NOTHING = "none"
DEFAULT = "default"
"""The value of an option that gives the limit back to the server's setting."""
_WORDS = {"yes": True, "no": False}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a key's limits."""
    options = (
        ("--posts-per-minute", _parse_number(MAX_POSTS_PER_MINUTE), "N", "Posts per minute; 0: no limit."),
        ("--posts-per-day", _parse_number(MAX_POSTS_PER_DAY), "N", "Posts per day (UTC); 0: no limit."),
        ("--music-required", _parse_word, "yes|no", "Refuse posts whose music cannot be attached."),
        ("--lead-minutes", _parse_number(MAX_LEAD_MINUTES), "N", "It writes no post that is due sooner."),
        ("--ahead-days", _parse_number(MAX_AHEAD_DAYS), "N", "It writes no post that is due later."),
        (
            "--kinds",
            partial(_split, KINDS),
            "KIND,…",
            f"The only kinds of posts that it sends: {', '.join(KINDS)}.",
        ),
        (
            "--needs-approval",
            _parse_word,
            "yes|no",
            "Somebody else approves what it writes before it is sent.",
        ),
        ("--may-approve", _parse_word, "yes|no", "It approves what others write."),
        ("--options", _parse_options, "OPTION,…", "The only options that it sets (tiktok.title), or none."),
    )
    for name, parse, values, meaning in reversed(options):
        command = click.option(
            name,
            type=Parsed(values, partial(_parse, parse)),
            metavar=f"{values}|{DEFAULT}",
            help=f"{meaning} {DEFAULT}: the server's setting, or no limit.",
        )(command)
    return command


def read_limits(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that the options give; None is the server's default."""
    return {name: None if value == DEFAULT else value for name, value in options.items() if value is not None}


def _parse(parse: Callable[[str], object], text: str) -> object:
    """Return `DEFAULT` as it is, another text as *parse* does. Raises ValueError."""
    return text if text == DEFAULT else parse(text)


def _parse_number(most: int) -> Callable[[str], object]:
    def parse(text: str) -> object:
        try:
            return parse_limit(text, most)
        except ValueError as error:
            raise ValueError(f"{str(error)[:-1]}, or `{DEFAULT}`.") from None

    return parse


def _parse_options(text: str) -> object:
    if text == NOTHING:
        return ()
    models = wiring.list_post_options()
    own = [f"{platform}.{name}" for platform, model in models.items() for name in model.model_fields]
    return _split([*mandate.POST_WIDE, *own], text)


def _split(known: Sequence[str], text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            near = validation_issue.find_near(name, known)
            meant = f"did you mean {near}?" if near else f"it is one of {', '.join(known)}."
            raise ValueError(f"{name!r} is not known: {meant}")
    return names


def _parse_word(text: str) -> object:
    if text not in _WORDS:
        raise ValueError(f"{text!r} is not yes, no or `{DEFAULT}`.")
    return _WORDS[text]


def _refuse_both(limits: Mapping[str, Any]) -> None:
    if limits.get("needs_approval") and limits.get("may_approve"):
        raise click.UsageError(
            "A key that needs approval approves nothing: --needs-approval or --may-approve."
        )


key_argument = click.argument("shown", metavar="ID", type=Parsed("id", lambda text: text.partition(".")[0]))
SHOWN_ONCE = "This key is shown only once: store it now. Send it as `Authorization: Bearer <key>`."


@click.group(cls=Group)
def command() -> None:
    """API keys. Each is bound to one workspace; some may only read, or act for certain accounts only."""


@command.command()
@click.argument("workspace")
@click.option("--name", default="", help="What the key is for; shown in lists.")
@click.option("--read-only", is_flag=True, help="The key may read, and nothing else.")
@click.option(
    "--account",
    "chosen",
    multiple=True,
    metavar="ID",
    help="Bind the key to this account (id or username); may be repeated. It reads and changes only posts that go to "
    "no other accounts.",
)
@click.option(
    "--expires",
    type=FUTURE,
    metavar="WHEN",
    help="When the key expires: an ISO 8601 time with an offset, or a duration from now (90d).",
)
@click.option("--bulk", is_flag=True, help="For bulk work: its requests share a small concurrency limit.")
@click.option(
    "--agent",
    is_flag=True,
    help="For a program without judgement: needs --account, and without other options means 20 posts a day, due in 30 "
    "minutes to 30 days, approved by somebody else, for 90 days.",
)
@limit_options
def create(
    workspace: str,
    name: str,
    chosen: Sequence[str],
    expires: datetime | None,
    *,
    read_only: bool,
    bulk: bool,
    agent: bool,
    **options: Any,
) -> None:
    """Create a key for WORKSPACE (name or id). It is shown only now: a hash of it is stored.

    Its permissions cannot be changed later; its limits can. It may send 6,000 posts a minute, unless this command or
    SLIPWAY_API__POSTS_PER_MINUTE says otherwise, or it is for bulk work.

    Examples:
      slipway key create Acme --name reporting --read-only --expires 90d
      slipway key create Acme --name agency --account acme_shop --account 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812
      slipway key create Acme --name agent --account acme_shop --agent
    """
    if agent and not chosen:
        raise click.UsageError("--agent needs --account: the only accounts that the program posts to.")
    given = read_limits(options)
    _refuse_both({**(asdict(AGENT) if agent else {}), **given})
    with open_transaction() as c:
        found = workspace_store.find_workspace(c, workspace)
        accounts = [require_account_of(c, found.id, one).id for one in chosen]
        terms = key_store.Terms(read_only=read_only, accounts=accounts, expires_at=expires, bulk=bulk)
        rate = config.settings().api.posts_per_minute
        terms = keys.plan_terms(terms, given, agent=agent, server_rate=rate)
        key, facts = keys.create_key(c, find_actor(), found.id, name, terms)
    _print_key({"key": key, **facts, **pick(terms, "expires_at")})


@command.command()
@key_argument
@click.option(
    "--overlap",
    type=DURATION,
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="How long the old secret works in addition to the new one; 0s: not at all.",
)
def rotate(shown: str, overlap: timedelta) -> None:
    """Give key ID (the half before the dot) a new secret, shown only now. Its permissions stay.

    The old secret works until the overlap ends; one from an earlier rotation stops at once.

    Example:
      slipway key rotate slw_live_0123456789abcdef --overlap 24h
    """
    with open_transaction() as c:
        key = key_store.rotate_key(c, shown, overlap)
        if key is None:
            raise _not_found(shown)
        [until] = [k.earlier_until for k in key_store.list_keys(c) if k.public_id == shown]
        keys.record_key(c, find_actor(), "rotate", key, after={"old_works_until": until})
    _print_key({"key": key, "public_id": shown, "old_works_until": format_timestamp(until)})
    if not is_json():
        click.echo(f"The old secret works until {format_timestamp(until)}.", err=True)


@command.command("set")
@key_argument
@limit_options
def set_limits(shown: str, **options: Any) -> None:
    """Change the limits of key ID; those not named stay. Requests follow the new ones within a second.

    Posts that it has scheduled, and that it might not write now, are paused by a steering job. With --needs-approval
    yes, what it has scheduled waits too.

    Examples:
      slipway key set slw_live_0123456789abcdef --posts-per-minute 600 --posts-per-day 20000
      slipway key set slw_live_0123456789abcdef --music-required default
      slipway key set slw_live_0123456789abcdef --ahead-days 7 --kinds image,images --options none
    """
    given = read_limits(options)
    if not given:
        raise click.ClickException("Nothing to change: name a limit, such as --posts-per-minute 600.")
    with open_context() as context:
        with context.database.begin() as c:
            key = next((k for k in key_store.list_keys(c) if k.public_id == shown), None)
            _refuse_both({**(asdict(key.limits) if key else {}), **given})
            limits = key_store.change_limits(c, shown, given)
            if key is None or limits is None:
                raise _not_found(shown)
            keys.record_key(c, find_actor(), "set limits", shown, asdict(key.limits), asdict(limits))
            workspace = workspace_store.find_workspace(c, str(key.workspace_id))
        caller = build_caller(workspace)
        paused = mandate_actions.pause_beyond(context, caller, key, limits)
        unapproved = approve.demand(context, caller, key.id) if limits.needs_approval else 0
    facts = asdict(limits) if is_json() else keys.summarize_limits(limits)
    print_fields({"public_id": shown, **facts, "paused": paused, "unapproved": unapproved})


@command.command("list")
@click.argument("workspace", required=False)
def list_(workspace: str | None) -> None:
    """List the keys of WORKSPACE (name or id), or all, without their secrets.

    The time of last use is accurate to a minute.

    Example:
      slipway key list Acme --json
    """
    with open_transaction() as c:
        only = find_workspace_id(c, workspace)
        names = {w.id: w.name for w in workspace_store.list_workspaces(c)}
        found = key_store.list_keys(c, only)
    rows = [_to_row(key, names[key.workspace_id]) for key in found]
    print_rows(rows, empty="No keys. `slipway key create WORKSPACE` makes one.")


@command.command()
@key_argument
def revoke(shown: str) -> None:
    """Revoke key ID for good. Requests that use it are refused within a second.

    Example:
      slipway key revoke slw_live_0123456789abcdef
    """
    with open_transaction() as c:
        if not keys.revoke_key(c, find_actor(), shown):
            raise _not_found(shown)
    answer({"public_id": shown, "revoked": True}, f"{shown} is revoked.")


def _to_row(key: key_store.Key, workspace: str) -> dict[str, Any]:
    """Return the key's columns: every fact for JSON, a summary of the permissions for people."""
    named = {"public_id": key.public_id, "workspace": workspace, "name": key.name}
    times = pick(key, "created_at last_used_at expires_at revoked_at")
    if not is_json():
        return {**named, "may": _summarize_permissions(key), **keys.summarize_limits(key.limits), **times}
    return {
        **named,
        **pick(key, "read_only accounts bulk posts_today"),
        **asdict(key.limits),
        **times,
        **pick(key, "rotated_at old_works_until=earlier_until"),
    }


def _summarize_permissions(key: key_store.Key) -> str:
    parts = [
        "read" if key.read_only else "everything",
        "" if key.accounts is None else f"{len(key.accounts)} account{'s'[: len(key.accounts) > 1]}",
        "bulk" if key.bulk else "",
    ]
    return ", ".join(part for part in parts if part)


def _print_key(facts: dict[str, Any]) -> None:
    answer(facts, facts["key"])
    if not is_json():
        click.echo(SHOWN_ONCE, err=True)


def _not_found(public_id: str) -> click.ClickException:
    return click.ClickException(f"There is no valid key {public_id!r}: `slipway key list` shows them.")
