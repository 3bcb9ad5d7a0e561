"""Validate rows of an import by the rules of POST /posts: accepted, duplicate or rejected, with the issues.

Nothing but the clock, accounts, known checks and earlier posts is read, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from pipeline.domain.bulk_import import RowVerdict
from pipeline.domain.post import NO_TIME
from pipeline.imports.columns import BY_PLATFORM, Columns, ImportRow
from pipeline.runtime.context import Context
from pipeline.stages.ingest import Outcome
from pipeline.stages.new_post import PostPlan, RuleInputs, Submission
from pipeline.stages.post_request import PostRequest, Refusal
from pipeline.stages.replay import build_token, is_equal
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import EarlierRow, RowRecord
from pipeline.store.posts.idempotency import Replay


@dataclass(frozen=True, kw_only=True, slots=True)
class PostFormat:
    """How posts are read, as the API does."""

    read: Callable[..., PostRequest]
    """Parses the body of a new post. Raises Refusal 422 with its issues. ``is_safe``: as ``is_safe_text`` says."""
    is_safe_text: Callable[[bytes], bool]
    """Returns True if a JSON text shows that none of its texts is one that no field may hold."""
    columns: Columns
    max_caption: int
    """Characters of a caption, of whatever platform."""


Issue = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedRow:
    """A row whose body is a valid post request, with what it is recognised by."""

    row: ImportRow
    body: Mapping[str, Any]
    submission: Submission
    identity: str
    occurrence: int
    """Which of the equal rows of the file without external_id it is, from 1; 0 of a row with one."""

    @property
    def request(self) -> PostRequest:
        """The post request."""
        return self.submission.request

    @property
    def post_id(self) -> UUID | None:
        """The post that the row was exported from."""
        return None if self.row.post_id is None else UUID(self.row.post_id)

    @property
    def token(self) -> str:
        """The token by which a repeat of the row is recognised, in whatever file."""
        return f"{self.identity}:{self.occurrence}" if self.occurrence else self.identity


@dataclass(frozen=True)
class AccountNames:
    """The accounts of a workspace that the caller may name, by ``platform:username``; read when one is named."""

    caller: Caller
    read_accounts: Callable[[], Sequence[AccountRow]]
    default: Sequence[Mapping[str, Any]] = ()
    """The accounts of rows that name none."""

    @cached_property
    def _ids(self) -> dict[str, list[UUID]]:
        ids: dict[str, list[UUID]] = {}
        for account in self.read_accounts():
            if self.caller.accounts is None or account.id in self.caller.accounts:
                name = f"{account.platform}:{account.username}".casefold()
                ids.setdefault(name, []).append(account.id)
        return ids

    def resolve(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body with accounts by id. Raises Refusal 400 for an unknown or ambiguous name."""
        accounts = body.get("accounts") or self.default or body.get("accounts")
        if not isinstance(accounts, list):
            return dict(body)
        return {**body, "accounts": [self._resolve(n, one) for n, one in enumerate(accounts)]}

    def _resolve(self, n: int, given: Any) -> Any:
        if not isinstance(given, dict) or "id" in given or not isinstance(given.get("account"), str):
            return given
        own = {key: value for key, value in given.items() if key != "account"}
        name = given["account"].casefold()
        found = self._ids.get(name, [])
        if len(found) == 1:
            return {"id": str(found[0]), **own}
        why = "is not yours or not active" if not found else "is the name of several accounts: use the id"
        message = f"The account {given['account']} {why}."
        issue = {"path": f"accounts.{n}", "message": message, "type": "rule", "value": given["account"]}
        raise Refusal(400, "unknown_accounts", message, [issue])

    def spread(self, body: dict[str, Any]) -> dict[str, Any]:
        """Give the accounts of a row of cells what its columns say for their platforms. Raises Refusal 400."""
        own = body.pop(BY_PLATFORM, None)
        if not own:
            return body
        platforms = {str(account.id): account.platform.value for account in self.read_accounts()}
        entries = body.get("accounts") or []
        on = [platforms.get(str(entry.get("id")).lower()) for entry in entries]
        if missing := [platform for platform in own if platform not in on]:
            message = f"No account of the row is on {missing[0]}, and a column of it is filled."
            issue = {"path": f"caption:{missing[0]}", "message": message, "type": "rule"}
            raise Refusal(400, "validation_failed", message, [issue])
        spread = [{**own.get(platform, {}), **entry} for platform, entry in zip(on, entries, strict=True)]
        return {**body, "accounts": spread}


def parse_row(
    caller: Caller, names: AccountNames, media: MediaNames, form: PostFormat, row: ImportRow
) -> tuple[dict[str, Any], Submission]:
    """Return the body of a row, with accounts by id and media by URL, and its post request. Raises Refusal."""
    if row.body is None or row.issues:
        raise Refusal(422, "invalid_payload", str(row.issues[0]["message"]), row.issues)
    body = names.resolve(row.body)
    body = media.resolve(body if isinstance(row.source, str) else names.spread(body))
    is_safe = isinstance(row.source, str) and form.is_safe_text(row.source.encode(errors="replace"))
    request = form.read(body, is_safe=is_safe)
    return _write_times(body, request), Submission(caller=caller, request=request)


def _write_times(body: dict[str, Any], request: PostRequest) -> dict[str, Any]:
    """Return the body with the times of single accounts as the database reads them."""
    times = {str(i): own.to_body()["scheduled_at"] for i, own in request.own.items() if own.scheduled_at}
    if not times or request.autos:
        return body
    entries = [{**one, "scheduled_at": times.get(one["id"].lower())} for one in body["accounts"]]
    return {**body, "accounts": entries}


def identify(context: Context, submission: Submission) -> str:
    """Return what the row's post is recognised by: its external_id, or its canonical body."""
    named = build_token(context, submission) if submission.request.external_id is not None else None
    return named or f"row:{submission.caller.realm}{submission.request.fingerprint.hex()}"


def describe_refusal(error: Exception) -> list[Issue]:
    """Return the issues of a refused row, in the contract's words."""
    if not isinstance(error, Refusal):
        message = "It could not be validated: a fault of this server."
        return [{"code": "create_failed", "path": "", "message": message}]
    plain = {"path": "", "message": error.message}
    return [{"code": error.code, **issue} for issue in error.issues or [plain]]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownPosts:
    """The results of earlier rows and earlier imports with the same identities."""

    earlier: Mapping[str, EarlierRow]
    replays: Mapping[tuple[UUID, str], Replay]
    current: Mapping[UUID, bytes]
    """Fingerprints of posts as they are now: the posts that rows name by id, or by the external_id of another body."""
    canceled: Collection[UUID]
    """The ones of these posts that are canceled."""
    inputs: RuleInputs
    find_edit_problem: Callable[[ParsedRow, UUID], Exception | None]
    """Returns why an edit that makes the post what the row says is refused now."""


def evaluate_rows(
    job: Import, parsed: Sequence[ParsedRow], outcomes: Sequence[Outcome], known: KnownPosts
) -> Iterator[RowRecord]:
    """Give every row its verdict, in the order of the file. *outcomes*: what the rules say of each."""
    first: dict[str, EarlierRow] = dict(known.earlier)
    for row, outcome in zip(parsed, outcomes, strict=True):
        record = _evaluate(job, row, outcome, first, known)
        if record.identity is not None and row.identity not in first:
            first[row.identity] = EarlierRow(
                number=row.row.number,
                fingerprint=row.request.fingerprint,
                post_id=record.post_id,
                occurrence=1,
            )
        yield record


def _evaluate(
    job: Import, row: ParsedRow, outcome: Outcome, first: Mapping[str, EarlierRow], known: KnownPosts
) -> RowRecord:
    if row.post_id is not None and row.post_id in known.current:
        return replace(_evaluate_changes(job, row, outcome, row.post_id, known), identity=None)
    earlier = None if row.occurrence else first.get(row.identity)
    if earlier is not None:
        return _compare_with_row(row, earlier, known)
    replay = known.replays.get((row.submission.workspace, row.token))
    if replay is not None and is_equal(row.request, replay):
        return _record_duplicate(row, replay.post_id, known)
    if replay is not None:
        return _evaluate_changes(job, row, outcome, replay.post_id, known)
    if isinstance(outcome, PostPlan):
        judged = known.inputs.digest(row.submission, outcome.checks) if outcome.is_ready else None
        warnings = _warn_of_equal(first.get(row.identity)) if row.occurrence > 1 else None
        found = {"due_at": outcome.due_at} if row.request.autos else {}
        return _record(row, RowVerdict.ACCEPTED, action="create", judged=judged, warnings=warnings, **found)
    return reject(row, outcome if isinstance(outcome, Exception) else LookupError("no plan"))


def _evaluate_changes(
    job: Import, row: ParsedRow, outcome: Outcome, post_id: UUID, known: KnownPosts
) -> RowRecord:
    """Validate a row whose post is known and was made of another body, or is named by its id."""
    if known.current.get(post_id) == row.request.fingerprint:
        return _record_duplicate(row, post_id, known)
    if not job.updates:
        return reject(row, refuse_changed(row.request, post_id))
    found = known.find_edit_problem(row, post_id) or outcome
    if isinstance(found, PostPlan):
        return _record(row, RowVerdict.ACCEPTED, action="update", post_id=post_id)
    return reject(row, found if isinstance(found, Exception) else LookupError("no plan"))


def _compare_with_row(row: ParsedRow, earlier: EarlierRow, known: KnownPosts) -> RowRecord:
    if earlier.fingerprint == row.request.fingerprint:
        return _record_duplicate(row, earlier.post_id, known)
    message = (
        f"external_id {row.request.external_id!r} is that of row {earlier.number}, which has another body."
    )
    return reject(row, Refusal(409, "create_failed", message))


def _record_duplicate(row: ParsedRow, post_id: UUID | None, known: KnownPosts) -> RowRecord:
    if post_id not in known.canceled:
        return _record(row, RowVerdict.DUPLICATE, post_id=post_id)
    instead = "Delete that post" if row.request.external_id is None else "Give the row another external_id"
    message = (
        f"Its post {post_id} is canceled, so nothing is published for this row. {instead} to make another."
    )
    warning = {"code": "POST_CANCELED", "path": "", "message": message}
    return _record(row, RowVerdict.DUPLICATE, post_id=post_id, warnings=[warning])


def _warn_of_equal(first: EarlierRow | None) -> list[Issue] | None:
    if first is None:
        return None
    message = f"It is equal to row {first.number} and has no external_id: each of them makes a post."
    return [{"code": "EQUAL_ROW", "path": "", "message": message}]


def refuse_changed(request: PostRequest, post_id: UUID) -> Refusal:
    """Build the refusal of a row that has a post with another body."""
    said = f"The post {post_id} has another body."
    if request.external_id is not None:
        said = f"external_id {request.external_id!r} was used for a post with another body ({post_id})."
    return Refusal(409, "create_failed", f"{said} Import it with update to edit the post.")


def reject(row: ParsedRow, error: Exception) -> RowRecord:
    """Return the record of a rejected row; it is no earlier row of any other."""
    record = _record(row, RowVerdict.REJECTED, issues=describe_refusal(error))
    return replace(record, identity=None)


def _record(row: ParsedRow, verdict: RowVerdict, **more: Any) -> RowRecord:
    more = {"due_at": NO_TIME if row.request.draft else row.request.scheduled_at, **more}
    return RowRecord(
        number=row.row.number,
        line=row.row.line,
        verdict=verdict,
        identity=row.identity,
        occurrence=row.occurrence,
        fingerprint=row.request.fingerprint,
        accounts=row.request.account_ids,
        body=row.body,
        source=None if isinstance(row.row.source, str) else row.row.source,
        **more,
    )


# --- media by the names of files -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MediaNames:
    """URLs by the names of files. ``read_uploads``: the uploads that may be named, read when one is looked for."""

    sent: Mapping[str, str]
    read_uploads: Callable[[], Mapping[str, Sequence[str]]]

    def resolve(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body with URLs for names. Raises Refusal 400 for a name of no file, or of several uploads."""
        if not any(list_names(body)):
            return body
        entries = body.get("accounts")
        if isinstance(entries, list):
            found = [
                self._resolve_in(one, f"accounts.{n}.") if isinstance(one, dict) else one
                for n, one in enumerate(entries)
            ]
            body = {**body, "accounts": found}
        return self._resolve_in(body, "")

    def _resolve_in(self, body: dict[str, Any], where: str) -> dict[str, Any]:
        media = body.get("media")
        if not isinstance(media, dict):
            return body
        urls = media.get("urls")
        found = {"url": self._find(f"{where}media.url", media["url"])} if "url" in media else {}
        if isinstance(urls, list):
            found["urls"] = [self._find(f"{where}media.urls.{n}", url) for n, url in enumerate(urls)]
        return {**body, "media": {**media, **found}}

    def _find(self, path: str, name: Any) -> Any:
        if not _is_name(name):
            return name
        urls = [self.sent[name]] if name in self.sent else self.read_uploads().get(name, ())
        if len(urls) == 1:
            return urls[0]
        why = (
            "Several uploads have this name: write the URL of one."
            if urls
            else "There is no file of this name."
        )
        issue = {"path": path, "message": why, "type": "missing", "value": name}
        raise Refusal(400, "validation_failed", f"{path}: {name}: {why}", [issue])


def _is_name(url: Any) -> bool:
    return isinstance(url, str) and "://" not in url and bool(url.strip())


def list_names(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the media of a body that are no URLs, those of single accounts too."""
    entries = body.get("accounts")
    own = body.get(BY_PLATFORM)
    for one in (
        body,
        *(own.values() if isinstance(own, dict) else ()),
        *(entries if isinstance(entries, list) else ()),
    ):
        media = one.get("media") if isinstance(one, dict) else None
        if isinstance(media, dict):
            urls = media.get("urls")
            yield from filter(_is_name, [media.get("url"), *(urls if isinstance(urls, list) else ())])
