"""A new post between its request and its rows: the facts it is checked by, and the plan that ingest makes and stores.

Account rows and good checks are cached, for one thread. A row of an import is validated when its file is planned, and
again when it is applied only if the digest of what the rules go by differs by then: an account was changed, a check is
another one, a setting, the key's limits or the release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from importlib.metadata import version
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import State
from pipeline.domain.level import find_post_level
from pipeline.domain.neighbours import Content, digest_content
from pipeline.domain.post import NO_TIME, PostStatus, next_at, slot_end
from pipeline.runtime.context import Context
from pipeline.runtime.tracing import trace_post
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.drafts import list_urls
from pipeline.stages.mandate import refuse_beyond_mandate
from pipeline.stages.media_checks import Link as MediaLink
from pipeline.stages.media_checks import list_links
from pipeline.stages.platform_limits import is_inbox_draft
from pipeline.stages.post_request import AcceptanceWarning, AcceptedPost, PostContent, PostRequest
from pipeline.stages.post_rules import AccountProblem
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check, Link, find_good
from pipeline.store.database import new_id
from pipeline.store.deliveries.ownership import restrict_accounts
from pipeline.store.posts import insert_batch as store
from pipeline.store.posts.insert_batch import NewDelivery, NewPost
from pipeline.store.revision import find_code_revision


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A post request and the key that sent it."""

    caller: Caller
    request: PostRequest
    import_id: UUID | None = None
    """The import whose row it is."""
    row_token: str | None = None
    """The token by which a repeat of this row, or post of a batch, is recognised, in place of that of a request."""
    judged: bytes | None = None
    """The digest of what the rules went by when they found this row good (``RuleInputs``)."""

    @property
    def workspace(self) -> UUID:
        """The workspace of the key."""
        return self.caller.workspace_id


@dataclass(kw_only=True, slots=True)
class PostPlan:
    """A submission that broke no rule so far, with its accounts, its time and the checks of its media."""

    submission: Submission
    accounts: Sequence[AccountRow]
    dues: Mapping[UUID, datetime]
    """By account."""
    due_at: datetime
    """The earliest of them."""
    immediate: bool
    token: str | None
    """The token by which a repeat of the request is recognised; None: never taken for one."""
    links: Sequence[MediaLink]
    """Everything that needs a check."""
    checks: Mapping[int, Check] = field(default_factory=dict)
    problems: Sequence[AccountProblem] = ()
    """Problems that the platforms accept with a warning, found by the facts in ``checks``."""
    post: NewPost | None = None
    """Its rows, where they were built before it is stored."""

    @property
    def is_ready(self) -> bool:
        """Return True if every link has a good check and every account a time: then the post is stored at once."""
        return (
            not self.submission.request.autos
            and len(self.checks) == len(self.links)
            and media_checks.are_all_good(self.checks)
        )

    def is_ready_at(self, account: AccountRow) -> bool:
        """Return True if all that this account publishes has a good check."""
        used = media_checks.pick(self.checks, self.submission.request.get_base(account.id))
        return media_checks.are_all_good(used)

    def validate(self, context: Context, checks: Mapping[int, Check]) -> None:
        """Use these checks from now on. Raises Refusal when a platform does not take the media they describe."""
        self.checks = checks
        caller, request = self.submission.caller, self.submission.request
        self.problems = rules.refuse_problems(context, caller, request, self.accounts, checks)


def plan_post(
    context: Context,
    submission: Submission,
    *,
    token: str | None,
    accounts: Sequence[AccountRow],
    links: Sequence[MediaLink],
    now: datetime,
) -> PostPlan:
    """Apply the rules about times, then those about options and accounts: the order of the contract. Raises Refusal.

    ``links``: of the media.
    """
    request = submission.request
    due_at = NO_TIME if request.draft else rules.resolve_due_at(request.scheduled_at, now)
    dues = rules.resolve_own_times(request, (account.id for account in accounts), due_at, now)
    if submission.caller.limits.has_mandate:
        known = {**dues, **dict.fromkeys(request.autos, NO_TIME)}
        refuse_beyond_mandate(submission.caller, request, known, now)
    rules.refuse_expired(request.expires_at, now)
    rules.refuse_account_conflicts(context, request, accounts)
    return PostPlan(
        submission=submission,
        accounts=accounts,
        dues=dues,
        due_at=min(dues.values()),
        immediate=not request.autos and min(dues.values()) <= now,
        token=token,
        links=links,
    )


def digest_contents(content: PostContent, accounts: Iterable[UUID]) -> dict[UUID, Content]:
    """Return the digests of what each account publishes."""
    shared = _digest(content)
    return {i: _digest(content.for_account(i)) if i in content.own else shared for i in accounts}


def _digest(content: PostContent) -> Content:
    return digest_content(content.caption, list_urls(content.media))


def build_post(context: Context, plan: PostPlan) -> NewPost:
    """Return the rows of a plan: deliveries are scheduled when every check is good, else accepted."""
    request = plan.submission.request
    is_good = media_checks.are_all_good(plan.checks)
    contents = digest_contents(request, plan.dues)
    caller = plan.submission.caller
    needs_approval = caller.needs_approval
    return NewPost(
        id=new_id(),
        workspace_id=plan.submission.workspace,
        key_id=caller.stored_key,
        import_id=plan.submission.import_id,
        caption=request.caption,
        media=request.media,
        music_url=request.music_url,
        options=request.options,
        ai_generated=request.ai_generated,
        first_comment=request.first_comment,
        level=find_post_level(request.level, is_draft=request.draft, needs_approval=needs_approval),
        due_at=plan.due_at,
        expires_at=request.expires_at,
        on_late=request.on_late,
        external_id=request.external_id,
        replay_token=plan.token,
        fingerprint=request.fingerprint,
        request_id=request.request_id,
        unapproved=caller.author if needs_approval else None,
        checks=media_checks.map_check_ids(plan.checks),
        deliveries=[
            build_delivery(
                context,
                request,
                account,
                plan.dues[account.id],
                contents[account.id],
                State.SCHEDULED if is_good or plan.is_ready_at(account) else State.ACCEPTED,
            )
            for account in plan.accounts
        ],
    )


def build_delivery(
    context: Context,
    content: PostContent,
    account: AccountRow,
    due_at: datetime,
    digest: Content,
    state: State,
) -> NewDelivery:
    """Return the row of one account's part of a post."""
    adapter = context.adapters[account.platform]
    section = content.for_account(account.id).options.get(account.platform)
    return NewDelivery(
        id=new_id(),
        account_id=account.id,
        platform=account.platform,
        state=state,
        next_at=next_at(due_at, adapter.capabilities.prepare_lead),
        inbox_draft=is_inbox_draft(adapter, section),
        due_at=due_at,
        own=content.own.get(account.id),
        content=digest,
    )


def accept_stored(plan: PostPlan, post: NewPost, warnings: Sequence[AcceptanceWarning]) -> AcceptedPost:
    """Return the answer to a post that was stored, and record its span."""
    trace_post(post.id, post.request_id)
    waits = PostStatus.DRAFT if plan.submission.request.draft else PostStatus.SCHEDULED
    status = PostStatus.PENDING if plan.immediate else waits
    return AcceptedPost(
        id=post.id,
        status=status,
        scheduled_at=post.due_at,
        warnings=warnings,
        deliveries=[one.id for one in post.deliveries],
    )


def dispatch_stored(context: Context, plans: Iterable[PostPlan]) -> None:
    """Dispatch the work of stored posts, after their commit. If this fails, the sweep dispatches within a second."""
    now, slots = False, set()
    for plan in plans:
        first = min(
            next_at(plan.dues[a.id], context.adapters[a.platform].capabilities.prepare_lead)
            for a in plan.accounts
        )
        if plan.immediate:
            now = True
        elif first <= datetime.now(first.tzinfo) + timedelta(seconds=context.settings.delay.horizon):
            slots.add(slot_end(first, timedelta(seconds=context.settings.delay.slot)))
    if now:
        context.dispatcher.send_slot_now()
    if slots:
        context.dispatcher.send_slots(sorted(slots))


CAPACITY = 10_000
"""Accounts, and checks, that are kept; a cache that is full is emptied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFacts:
    """The facts in the database about a whole batch."""

    accounts: Mapping[UUID, AccountRow]
    versions: store.Versions
    """A change of an account gives it another one."""
    checks: Mapping[Link, Check]

    @property
    def now(self) -> datetime:
        """The database's clock."""
        return self.versions.now

    def accounts_of(self, submission: Submission) -> dict[UUID, AccountRow]:
        """The accounts that this caller may name."""
        caller = submission.caller
        ids = restrict_accounts(submission.request.account_ids, caller.accounts) or ()
        found = {i: self.accounts.get(i) for i in ids}
        return {i: a for i, a in found.items() if a is not None and a.workspace_id == caller.workspace_id}

    def checks_of(self, workspace: UUID, links: Iterable[MediaLink]) -> dict[int, Check]:
        """The good checks of these media of a workspace, by position; unknown ones are missing."""
        found = {position: self.checks.get((workspace, purpose, url)) for position, purpose, url in links}
        return {position: check for position, check in found.items() if check is not None}


class IngestCaches:
    """The accounts and checks of earlier batches."""

    def __init__(self, fresh: timedelta, own: str) -> None:
        """``fresh``: how old a good check may be. ``own``: how URLs of uploaded files begin."""
        self._accounts = AccountCache()
        self._checks = CheckCache(fresh, own)

    def read(self, c: Connection, batch: Sequence[Submission]) -> BatchFacts:
        """Read the clock and the accounts' versions in one query, and in others the rows that are not cached."""
        links = {
            (submission.workspace, purpose, url)
            for submission in batch
            for _, purpose, url in list_links(submission.request.media, None, submission.request.own.values())
        }
        ids = {i for s in batch for i in s.request.account_ids}
        versions, accounts = self._accounts.find(c, ids)
        checks = self._checks.find(c, links, versions.now)
        return BatchFacts(accounts=accounts, versions=versions, checks=checks)


def build_caches(context: Context) -> IngestCaches:
    """Return empty caches."""
    fresh = timedelta(seconds=context.settings.reachability.fresh)
    return IngestCaches(fresh, context.files.addresses.public_url(""))


class AccountCache:
    """Account rows by id, each read again when its row version (``xmin``) has changed."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[str, AccountRow]] = {}

    def find(self, c: Connection, ids: Collection[UUID]) -> tuple[store.Versions, dict[UUID, AccountRow]]:
        """Return what `find_versions` does, with the accounts, of whatever workspace: the caller has to filter them."""
        versions = store.find_versions(c, ids)
        changed = [i for i, version in versions.of.items() if self._known.get(i, ("",))[0] != version]
        if changed:
            if len(self._known) + len(changed) > CAPACITY:
                changed, self._known = list(versions.of), {}
            self._known |= store.find_accounts(c, changed)
        return versions, {i: self._known[i][1] for i in versions.of}


class CheckCache:
    """Good checks by link, until they are too old. A decided check is never changed or deleted."""

    def __init__(self, fresh: timedelta, own: str) -> None:
        """``fresh``: how old a check may be. ``own``: how URLs of uploaded files begin."""
        self._fresh, self._own = fresh, own
        self._known: dict[Link, tuple[Check, datetime]] = {}

    def find(self, c: Connection, links: Collection[Link], now: datetime) -> dict[Link, Check]:
        """Return the good check of each link that has one. ``now``: the database's clock."""
        found, unknown = {}, []
        for link in links:
            check, decided_at = self._known.get(link, (None, now))
            if check is not None and decided_at > now - self._fresh:
                found[link] = check
            else:
                unknown.append(link)
        if not unknown:
            return found
        read = find_good(c, unknown, self._fresh, self._own)
        if len(self._known) + len(read) > CAPACITY:
            self._known = {}
        self._known |= read
        return found | {link: check for link, (check, _) in read.items()}


SIZE = 16
"""Bytes of a digest."""


class RuleInputs:
    """The digests of one batch, whose posts have one caller."""

    def __init__(self, context: Context, caller: Caller, facts: BatchFacts) -> None:
        settings = context.settings.model_dump_json()  # secrets are masked, and no rule goes by one
        common = f"{version('slipway')} {find_code_revision()} {caller.limits} {caller.accounts} {settings}"
        self._common = blake2b(common.encode(), digest_size=SIZE)
        self._accounts = {
            i: f"{i.hex} {row_version} ".encode() for i, row_version in facts.versions.of.items()
        }

    def digest(self, submission: Submission, checks: Mapping[int, Check]) -> bytes:
        """Return the digest for a post. ``checks``: one of each link, none undecided; a decided one never changes."""
        found = self._common.copy()
        for identity in submission.request.account_ids:
            found.update(self._accounts.get(identity, b"-"))
        for position in sorted(checks):
            found.update(checks[position].id.bytes)
        return found.digest()
