"""`slipway live-post`: one real post of a generated clip, with a file of every request.

The adapter is called as publishing calls it, and the record takes the place of the ledger: it is on disk before the one
visible call is made, so that a command that was ended says in its file whether the clip may be live.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from pipeline.cli import import_source, lazy_imports, runtime
from pipeline.cli.output import Command, print_rows

with lazy_imports():
    from adapters import contract, errors, http
    from adapters.sandbox import server as sandbox
    from pipeline.accounts import refresh
    from pipeline.stages import drafts, media_checks, post_request
    from pipeline.store import database
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.auth import workspaces as workspace_store

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

Seen = TypeVar("Seen")
CLIP = "slipway-live-post.mp4"
STEPS = 200
"""Steps of one preparation: far more than any platform takes."""


@dataclass(kw_only=True, slots=True)
class Record:
    """The file of a live post: one JSON object a line, on disk before the next step. It holds no secret and no body."""

    file: TextIO
    requests: list[dict[str, Any]] = field(default_factory=list)

    def write(self, what: str, **facts: Any) -> None:
        """Append a line, and wait until it is on disk."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **facts}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    @contextmanager
    def trace(self, method: str, url: str, visible: bool) -> Iterator[Callable[[int], None]]:
        """Record a request without its query, which may hold a token, and its status; None without a response."""
        made: dict[str, Any] = {"method": method, "url": url.partition("?")[0], "visible": visible}
        began = time.monotonic()
        if visible:
            self.write("sends the visible request", **made)
        made["status"] = None
        self.requests.append(made)
        try:
            yield lambda status: made.update(status=status)
        finally:
            self.write("request", **made, ms=round((time.monotonic() - began) * 1000))


@click.command("live-post", cls=Command)
@click.option("--account", required=True, help="Id or username of a connected account.")
@click.option(
    "--private", "form", flag_value="private", help="Visible to its owner only, where there is such a form."
)
@click.option("--public", "form", flag_value="public", help="Visible to everyone.")
@click.option("--yes", is_flag=True, help="Publish; default is to say what would be published.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; it must not exist. Default: live-post-ACCOUNT-TIME.jsonl.",
)
def live_post(account: str, form: str | None, *, yes: bool, record: Path | None) -> None:
    """Publish one generated clip to ACCOUNT, and compare every step with what the adapter expects.

    Nothing is deleted: remove the clip at the platform. The file has each request with its status, without secrets.
    Exit 1 when a step was not as expected.

    Example:
      slipway live-post --account acme --private --yes
    """
    if form is None:
        raise click.ClickException("Say --private or --public: who may see the clip.")
    with runtime.open_context() as context:
        with context.database.begin() as c:
            known = runtime.require_account(c, account)
            caller = runtime.build_caller(workspace_store.find_workspace(c, str(known.workspace_id)))
        options = _choose_options(context, known, form)
        path = record or Path(f"live-post-{known.username}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")
        plan = f"a clip of five seconds, {form}, as {known.platform} account {known.username} ({known.id})"
        if not yes:
            raise click.ClickException(
                f"Nothing was published: this would publish {plan}. Repeat with --yes."
            )
        draft = _build_draft(context, caller, known, options)
        with _open_record(path) as written:
            with context.database.begin() as c:
                facts = {"form": form, "record": path.name}
                runtime.record(c, "live post", "account", known.id, known.workspace_id, {}, facts)
            click.echo(f"Publishing {plan}; {path} has every request.", err=True)
            adapter, its_account = _open_adapter(context, known, written)
            rows = LivePost(adapter=adapter, account=its_account, draft=draft, record=written).run()
    print_rows(rows)
    if any(row["result"] != "ok" for row in rows):
        raise SystemExit(1)


def _choose_options(context: Context, known: account_store.AccountRow, form: str) -> dict[str, Any]:
    """Return the options of the form. Raises ClickException for a private one that the platform does not have."""
    capabilities = context.adapters[known.platform].capabilities
    if form == "public":
        return {}
    if capabilities.private_options is None:
        raise click.ClickException(
            f"{capabilities.display_name} has no post that only its owner sees: --public publishes one that all see."
        )
    return dict(capabilities.private_options)


@contextmanager
def _open_record(path: Path) -> Iterator[Record]:
    try:
        file = path.open("x", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"--record: {path} cannot be made ({error.strerror}): name another."
        ) from None
    with file:
        yield Record(file=file)


def _build_draft(
    context: Context, caller: Caller, known: account_store.AccountRow, options: dict[str, Any]
) -> contract.Draft:
    """Return the draft of a clip that is uploaded and checked as any. Raises ClickException for what rules it out."""
    with TemporaryDirectory() as folder:
        sandbox.write_video(Path(folder, CLIP))
        with import_source.open_media(Path(folder)) as files:
            [url] = import_source.upload_media(context, caller, files, {CLIP}).values()
    link: media_checks.Link = (0, "video", url)
    with context.database.begin() as c:
        opened = media_checks.open_checks(context, c, caller.workspace_id, [link])
    checks = media_checks.await_checks(context, opened)
    media_checks.refuse_unreachable(checks)
    facts = media_checks.list_media_facts(checks).get(0)
    if facts is None:
        raise click.ClickException(
            "The clip is not checked yet, which a worker of reachability does; nothing was published. Repeat it."
        )
    media = drafts.build_media(context, caller.workspace_id, url, "video", asdict(facts))
    caption = f"Slipway live post {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    content = post_request.PostContent(caption=caption, media={"type": "video", "url": url})
    draft = drafts.assemble_draft(
        content, lambda *_: media, options=options, track=None, delivery_id=str(database.new_id())
    )
    problems = context.adapter(known.platform, http.HttpClient()).problems(draft, known.adapter_account)
    if refused := [one.message for one in problems if one.severity == "refuse"]:
        raise click.ClickException(" ".join(refused))
    return draft


def _open_adapter(
    context: Context, known: account_store.AccountRow, record: Record
) -> tuple[contract.Adapter, contract.Account]:
    """Return the adapter, whose requests are recorded, and the account with tokens that are valid for a while."""
    with context.database.begin() as c:
        account, version, _ = account_store.read_account(c, context.vault, known.id)
    ends = account.credentials.expires_at
    if ends is not None and ends <= datetime.now(UTC) + timedelta(minutes=5):
        if error := refresh.refresh(context, known.id, version):
            raise click.ClickException(f"The tokens have expired and were not renewed: {error}")
        with context.database.begin() as c:
            account, *_ = account_store.read_account(c, context.vault, known.id)
    client = http.HttpClient(limit=timedelta(seconds=context.settings.publish.call), trace=record.trace)
    return context.adapter(known.platform, client), account


@dataclass(kw_only=True, slots=True)
class LivePost:
    """One publish by an adapter, step by step."""

    adapter: contract.Adapter
    account: contract.Account
    draft: contract.Draft
    record: Record
    armed_at: datetime | None = None

    def run(self) -> list[dict[str, str]]:
        """Publish, look for the post, and return what was expected and what came, each a row."""
        says = "not live within the time allowed"
        try:
            published = self._publish()
        except errors.AdapterError as error:
            self.record.write("ends", error=error.code, platform_code=error.platform_code, says=str(error))
            published, says = None, f"{error.code}: {error}"
        if published is None:
            return [*self._check_requests(), _row("publish", is_met=False, says=says)]
        found = [_row("publish", says=f"live as {published.remote_id}")]
        found.append(_row("address", says=published.url or "the platform gave none, which it may"))
        return [*self._check_requests(), *found]

    def _publish(self) -> contract.Published | None:
        """Prepare, make the visible call once, then look until it is live; None: it is not within the limit."""
        prepared = self._prepare()
        self.armed_at = datetime.now(UTC)
        self.record.write("arms")
        try:
            result: Any = self.adapter.finalize(self.draft, self.account, prepared.checkpoint)
        except errors.OutcomeUnknown as error:
            self.record.write("unknown", says=str(error))
            result = contract.Pending(checkpoint=prepared.checkpoint)
        self.record.write("finalize", result=type(result).__name__)
        if isinstance(result, contract.Published):
            return result
        return self._look_until(result.checkpoint, contract.Published)

    def _prepare(self) -> contract.Ready:
        """Take every invisible step. Raises AdapterError, ClickException when they never end."""
        checkpoint: contract.CheckpointData = {}
        for _ in range(STEPS):
            result = self.adapter.prepare(self.draft, self.account, checkpoint)
            self.record.write("prepare", result=type(result).__name__)
            checkpoint = result.checkpoint
            if isinstance(result, contract.Ready):
                return result
            if result.wait > timedelta(0):
                seen = self._look_until(checkpoint, contract.Ready)
                if seen is None:
                    break
                checkpoint = seen.checkpoint
        raise click.ClickException(
            "The platform was not ready within the time allowed; nothing was published."
        )

    def _look_until(self, checkpoint: contract.CheckpointData, expected: type[Seen]) -> Seen | None:
        """Look at the platform's pace until it is as *expected*; None: not within its limit. Raises AdapterError."""
        pause, longest = self.adapter.capabilities.look_every
        end = time.monotonic() + self.adapter.capabilities.look_limit.total_seconds()
        while True:
            time.sleep(pause.total_seconds())
            seen = self.adapter.look(self.draft, self.account, checkpoint, self.armed_at, ())
            self.record.write("look", result=type(seen).__name__)
            if isinstance(seen, contract.Ended):
                raise seen.error
            if isinstance(seen, expected):
                return seen
            if not isinstance(seen, contract.Pending | contract.Absent) or time.monotonic() > end:
                return None
            checkpoint = seen.checkpoint or checkpoint
            pause = min(longest, pause * 2)
            click.echo(f"Not there yet; the next look is in {pause.total_seconds():.0f} s.", err=True)

    def _check_requests(self) -> Iterator[dict[str, str]]:
        """Yield whether every request was answered as one that succeeds, and one and only one was visible."""
        made = self.record.requests
        failed = [r for r in made if not 200 <= (r["status"] or 0) < 400]  # noqa: PLR2004
        bad = [f"{r['method']} {r['url']}: {r['status'] or 'no response'}" for r in failed]
        says = "; ".join(bad) or f"{len(made)} requests, all answered with success"
        yield _row("requests", is_met=not bad, says=says)
        visible = [r for r in made if r["visible"]]
        yield _row("visible", is_met=len(visible) == 1, says=f"{len(visible)} visible requests; 1 expected")


def _row(step: str, *, says: str, is_met: bool = True) -> dict[str, str]:
    return {"step": step, "result": "ok" if is_met else "other than expected", "says": says}
