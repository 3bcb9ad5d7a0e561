"""Plans: what a write would do, sealed for ten minutes, and the commit that does exactly that, or says what changed.

A plan stores nothing: its token holds the request, the end of its time, and the facts that were found (what happens
where and when, the warnings, the version of the post), for one key; so any process commits it. A commit finds the
facts anew, and refuses if they differ. A post is stored under an ``external_id`` that follows from the token: committed
twice, it is one post. A change names the version of the post: committed twice, the second says what changed.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions import cancel_delete_retry as actions
from pipeline.actions import edit
from pipeline.actions.post_changes import Change
from pipeline.api.accounts.key import KeyMandate, PostAllowance, read_key
from pipeline.api.http import dependencies
from pipeline.api.http.dependencies import Call
from pipeline.api.http.envelope import refuse_unknown
from pipeline.api.http.middleware import note_posts
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.timestamp import format_timestamp
from pipeline.api.http.validation import Body, validate_body
from pipeline.api.imports.models import ImportJob
from pipeline.api.imports.routes import find_job
from pipeline.api.posts.action_routes import run_validation
from pipeline.api.posts.action_schema import read_change, read_schedule
from pipeline.api.posts.field_types import EntityId
from pipeline.api.posts.response_models import CreatedPost, PostWarning
from pipeline.api.posts.routes import store_post
from pipeline.api.posts.schema import build_known_columns, read_post
from pipeline.domain.post import NO_TIME, is_immediate
from pipeline.domain.validation_issue import build_issue
from pipeline.imports import control
from pipeline.imports.columns import Format
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.runtime.context import Context
from pipeline.stages import post_rules as rules
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_version
from pipeline.stages.replay import find_replay
from pipeline.stages.warnings import find_warnings
from pipeline.store.auth.keys import Caller
from pipeline.store.posts.listing import InvalidPlace
from pipeline.store.posts.views import read_post as read_view

LIFETIME = 600
"""Seconds in which a plan may be committed."""
MAX_SEALED = 4000
"""Bytes of a compressed plan: its token is in a result twice."""
_UNDONE = "Nothing is done before commit."


class PlanStep(ResponseModel):
    """What would happen at one account."""

    does: str
    account_id: UUID
    platform: Platform
    username: str
    kind: str | None = Field(description="Of a new post, in the platform's words.")
    at: Timestamp | None = Field(description="null: at once, or without a time.")


class Plan(ResponseModel):
    """What a commit would do. Nothing is done yet."""

    words: str
    token: str | None = Field(description="For commit. null: the import is not planned yet: ask again.")
    expires_at: Timestamp
    steps: list[PlanStep]
    warnings: list[PostWarning]
    import_job: ImportJob | None
    mandate: KeyMandate
    left: list[PostAllowance] = Field(description="What the key may still send.")


class Committed(ResponseModel):
    """What a commit did, or had done before. ``id``: of the post, or of the import."""

    words: str
    id: UUID
    post: CreatedPost | None = Field(description="A new post.")


class ChangeArguments(Body):
    """A change of one post."""

    post_id: EntityId
    verb: Literal["edit", "schedule", "cancel", "delete", "retry"]
    change: dict[str, Any] | None = Field(None, description="edit: its fields. schedule: scheduled_at.")
    account_ids: list[EntityId] | None = Field(None, min_length=1, description="cancel, retry: only there.")


class ImportArguments(Body):
    """Rows to import, or an import whose plan is asked for: one of them."""

    rows: str = Field("", description="NDJSON: a post as plan_post takes it on each line.")
    import_id: EntityId | None = None


class CommitArguments(Body):
    """A plan to commit."""

    token: str = Field(max_length=2 * MAX_SEALED, description="Of the plan, unchanged.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a write would do now. ``version``: of the post that is changed."""

    steps: list[PlanStep]
    warnings: list[PostWarning]
    version: str = ""

    @property
    def facts(self) -> list[str]:
        """What has to be the same at the commit, in words of ours alone."""
        times = [format_timestamp(step.at) or "at once or without a time" for step in self.steps]
        pairs = zip(self.steps, times, strict=True)
        steps = [f"{s.does} at {s.platform} account {s.account_id} {at}" for s, at in pairs]
        version = [f"Version {self.version.partition('-')[0]} of the post"] if self.version else []
        return [*steps, *(f"Warning {w.code} at {w.field}" for w in self.warnings), *version]


async def plan_post(call: Call, arguments: Mapping[str, Any]) -> Plan:
    """Plan a new post. Counts as one against the key's rate, as its validation does."""
    await call.app_state.charge_rate_limit(call.request, call.caller)
    return await _build_plan(call, "post", arguments, await _find_post(call, arguments))


async def plan_change(call: Call, arguments: Mapping[str, Any]) -> Plan:
    """Plan a change of one post, with the rights that it needs."""
    asked = validate_body(ChangeArguments, arguments)
    call = await _require_right(call, asked)
    return await _build_plan(call, "change", arguments, await _find_change(call, asked))


async def plan_import(call: Call, arguments: Mapping[str, Any]) -> Plan:
    """Store the rows of an import, which workers then plan, or return the plan that they made."""
    asked = validate_body(ImportArguments, arguments)
    if asked.import_id is None:
        with call.app_state.uploads.slot(call.caller.workspace_id):
            rows, options = [asked.rows.encode(errors="replace")], ImportOptions(name="rows.ndjson")
            store = partial(store_file, call.app_state.context, call.caller, options, build_known_columns())
            work = partial(store, rows, Format.NDJSON)
            job = await call.app_state.transfer_bulkhead.run(work, call.caller.key_id)
    else:
        job = await find_job(call, asked.import_id)
    model = ImportJob.from_import(job)
    sealed = {"import_id": str(job.id), "plan_hash": model.plan.hash} if model.plan else None
    plan = await _build_plan(call, "import", sealed, Findings(steps=[], warnings=[]))
    counts = model.plan.model_dump(exclude={"hash"}) if model.plan else "it is not planned yet, ask again"
    return plan.model_copy(update={"import_job": model, "words": f"Import {job.id}: {counts}. {_UNDONE}"})


async def _build_plan(call: Call, kind: str, body: Mapping[str, Any] | None, found: Findings) -> Plan:
    """Return the plan, with the key's mandate and what is left of it. *body* None: there is nothing to commit."""
    ends, key = int(time.time()) + LIFETIME, await read_key(call)
    packed = zlib.compress(json.dumps([kind, ends, body, found.facts], separators=(",", ":")).encode())
    if len(packed) > MAX_SEALED:
        message = (
            f"Compressed, the plan has {len(packed):,} bytes of at most {MAX_SEALED:,}: use the HTTP API."
        )
        raise Refusal(413, "payload_too_large", message)
    token = call.app_state.cursor_seal.seal_bytes(packed, _bind(call.caller)) if body else None
    return Plan(
        words=". ".join([*found.facts, _UNDONE]),
        token=token,
        expires_at=datetime.fromtimestamp(ends, UTC),
        steps=found.steps,
        warnings=found.warnings,
        import_job=None,
        mandate=key.mandate,
        left=key.posts,
    )


def _bind(caller: Caller) -> bytes:
    return f"slipway plan of key {caller.key_id}".encode()


def _open(call: Call, token: str) -> tuple[str, dict[str, Any], list[str]]:
    try:
        packed = call.app_state.cursor_seal.open_bytes(token, _bind(call.caller))
    except InvalidPlace:
        message = "Not a token of this key: send the token of a plan unchanged, with the key that made it."
        raise Refusal(422, "invalid_payload", message) from None
    kind, ends, body, facts = json.loads(zlib.decompress(packed))
    if time.time() > ends:
        raise Refusal(409, "plan_changed", "The plan is older than ten minutes: plan again.")
    return kind, body, facts


# --- what would happen -----------------------------------------------------------------------------------------------


async def _find_post(call: Call, body: Mapping[str, Any]) -> Findings:
    """Validate a new post. Raises Refusal with every rule that it breaks."""
    request = read_post(body, call.app_state.rules)
    result, now = await run_validation(call, request), datetime.now(UTC)
    if result.refused:
        first = result.refused[0]
        issues = [build_issue((one.field,), f"{one.code}: {one.message}", "rule") for one in result.refused]
        raise Refusal(400, first.code, first.message, issues)
    does = "Store a draft for" if request.draft else "Publish"
    kinds = zip(result.accounts, result.kinds, strict=True)
    steps = [_build_step(does, a.id, a, result.dues.get(a.id), now, kind) for a, kind in kinds]
    return Findings(steps=steps, warnings=[*map(PostWarning.model_validate, result.warnings)])


def _build_step(
    does: str, account: UUID, facts: Any, due_at: datetime | None, now: datetime, kind: str | None = None
) -> PlanStep:
    """Return the step at an account. *facts*: of whatever has its platform and its username."""
    is_untimed = due_at is None or due_at >= NO_TIME or is_immediate(due_at, now)
    named = {"platform": facts.platform, "username": facts.username, "kind": kind}
    return PlanStep(does=does, account_id=account, at=None if is_untimed else due_at, **named)


async def _find_change(call: Call, asked: ChangeArguments) -> Findings:
    return await call.read(
        _read_change, call.app_state.context, call.caller, asked, _parse_change(call, asked)
    )


def _parse_change(call: Call, asked: ChangeArguments) -> Change | None:
    """Return the edit, or None for another verb. Raises Refusal 422."""
    if asked.verb == "edit":
        return read_change(asked.change or {}, call.app_state.rules)
    return read_schedule(asked.change or {}) if asked.verb == "schedule" else None


def _read_change(
    c: Connection, context: Context, caller: Caller, asked: ChangeArguments, change: Change | None
) -> Findings:
    post, does = asked.post_id, asked.verb.capitalize()
    view = read_view(c, caller.workspace_id, post, caller.accounts)
    if view is None:
        raise refuse_unknown("post")
    version = compute_version(view)
    if change is None:
        parts = actions.find_targets(c, caller, asked.verb, post, asked.account_ids)
        targets = {part.account_id for part in parts}
        chosen = [d for d in view.deliveries if d.account_id in targets]
        steps = [_build_step(does, d.account_id, d, None, view.now) for d in chosen]
        return Findings(steps=steps, warnings=[], version=version)
    plan = edit.check_edit(context, c, caller, post, change)
    accounts = [*plan.accounts.values()]
    rules.refuse_problems(context, caller, plan.content, accounts, plan.kept)
    is_named, dues = caller.accounts is None, plan.dues
    warnings = find_warnings(context, c, post, plan.content, accounts, dues, plan.kept, named=is_named)
    steps = [_build_step(does, a.id, a, dues[a.id], view.now) for a in accounts]
    return Findings(steps=steps, warnings=[*map(PostWarning.model_validate, warnings)], version=version)


# --- commit ----------------------------------------------------------------------------------------------------------


async def commit(call: Call, arguments: Mapping[str, Any]) -> Committed:
    """Do what a plan says, or raise Refusal 409 with what changed since; then nothing is done."""
    token = validate_body(CommitArguments, arguments).token
    kind, body, facts = _open(call, token)
    if kind == "change":
        return await _commit_change(call, validate_body(ChangeArguments, body), facts)
    call = await dependencies.authenticate_publisher(call.request)
    if kind == "post":
        name = f"plan-{hashlib.sha256(token.encode()).hexdigest()[:32]}"
        return await _commit_post(call, body, facts, name)
    job = await call.act(control.apply, UUID(body["import_id"]), plan_hash=body["plan_hash"])
    return Committed(words=f"The import is {control.describe(job)}.", id=job.id, post=None)


async def _commit_post(call: Call, body: Mapping[str, Any], facts: Sequence[str], name: str) -> Committed:
    await call.app_state.charge_rate_limit(call.request, call.caller)
    request = read_post(body, call.app_state.rules, name)
    submission = Submission(caller=call.caller, request=request)
    find_earlier = partial(call.read, lambda c: find_replay(call.app_state.context, c, submission))
    if (accepted := await find_earlier()) is None:
        found = await _find_post(call, body)
        changes = _list_changes(facts, found)
        # an equal commit that was faster has made the post that differs
        accepted = await find_earlier() if changes else None
        if accepted is None and changes:
            raise _refuse_changes(changes)
        if accepted is None and "DUPLICATE" in {w.code for w in found.warnings}:
            request = read_post(body, call.app_state.rules)  # the plan says that it returns the earlier post
        accepted = accepted or await store_post(call.app_state, call.caller, request)
    note_posts(call.request.scope, {accepted.id: accepted.deliveries})
    words = "It was accepted before: this is its post." if accepted.duplicate else "The post is accepted."
    return Committed(words=words, id=accepted.id, post=CreatedPost.model_validate(accepted))


def _list_changes(facts: Sequence[str], found: Findings) -> list[str]:
    """Return what is no longer so, and what is so now."""
    gone = [f"No longer: {fact}" for fact in facts if fact not in found.facts]
    return [*gone, *(f"Now: {fact}" for fact in found.facts if fact not in facts)]


def _refuse_changes(changes: Sequence[str]) -> Refusal:
    message = f"The plan does not hold any more; nothing was done. {'. '.join(changes)}. Plan again."
    return Refusal(409, "plan_changed", message)


async def _require_right(call: Call, asked: ChangeArguments) -> Call:
    """Return the call of a key that may do it. What sends a post counts against the key's rate, as by HTTP."""
    if asked.verb in {"cancel", "delete"}:
        return await dependencies.authenticate_writer(call.request)
    call = await dependencies.authenticate_publisher(call.request)
    await call.app_state.charge_rate_limit(call.request, call.caller)
    return call


async def _commit_change(call: Call, asked: ChangeArguments, facts: Sequence[str]) -> Committed:
    """Change the post, if its version is still the planned one. Raises Refusal if nothing is done."""
    call, post = await _require_right(call, asked), asked.post_id
    found = await _find_change(call, asked)
    if changes := _list_changes(facts, found):
        raise _refuse_changes(changes)
    tag, accounts, reasons = f'"{found.version}"', asked.account_ids, list[str]()
    if asked.verb == "delete":
        deleted = await call.act(actions.delete, [post], tag)
        reasons = [*deleted.errors.values(), *(f"validation_failed: It is {s}." for _, s in deleted.blocked)]
    elif asked.verb in {"cancel", "retry"}:
        act = actions.cancel if asked.verb == "cancel" else actions.retry
        done = await call.act(act, [post], accounts, tag)
        reasons = [*done.errors.values()]
    elif change := _parse_change(call, asked):
        work = partial(edit.edit, call.app_state.context, call.caller, post, change, tag)
        await call.app_state.choose_bulkhead(call.caller).run(work, call.caller.key_id)
    for reason in reasons:
        code, _, message = reason.partition(": ")
        raise Refusal(409, code, f"Nothing was done. {message}")
    return Committed(words=f"{asked.verb.capitalize()} is done.", id=post, post=None)
