"""Facts about a batch of new posts: cached account rows and good checks, and a digest of what the rules go by.

Caches are for one thread. A row of an import is validated when its file is planned, and again when it is applied only
if the digest differs by then: an account was changed, a check is another one, a setting, the key's limits or the
release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from importlib.metadata import version
from uuid import UUID

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.stages.media_checks import Link as MediaLink
from pipeline.stages.media_checks import list_links
from pipeline.stages.new_post import Submission
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check, Link, find_good
from pipeline.store.deliveries.ownership import restrict_accounts
from pipeline.store.posts import insert_batch as store
from pipeline.store.revision import find_code_revision

CAPACITY = 10_000
"""Accounts, and checks, that are kept; a cache that is full is emptied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFacts:
    """The facts in the database about a whole batch."""

    now: datetime
    accounts: Mapping[UUID, AccountRow]
    versions: Mapping[UUID, str]
    """The row versions of the accounts: a change of an account gives it another one."""
    checks: Mapping[Link, Check]

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
        """Read the clock and the accounts in one query, and in others only what is not cached."""
        links = {
            (submission.workspace, purpose, url)
            for submission in batch
            for _, purpose, url in list_links(submission.request.media, None)
        }
        ids = {i for s in batch for i in s.request.account_ids}
        now, accounts, versions = self._accounts.find(c, ids)
        checks = self._checks.find(c, links, now)
        return BatchFacts(now=now, accounts=accounts, versions=versions, checks=checks)

    def clear(self) -> None:
        """Forget everything."""
        self._accounts.clear()
        self._checks.clear()


def build_caches(context: Context) -> IngestCaches:
    """Return empty caches."""
    fresh = timedelta(seconds=context.settings.reachability.fresh)
    return IngestCaches(fresh, context.files.addresses.public_url(""))


class AccountCache:
    """Account rows by id, each read again when its row version (``xmin``) has changed."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[str, AccountRow]] = {}

    def find(
        self, c: Connection, ids: Collection[UUID]
    ) -> tuple[datetime, dict[UUID, AccountRow], dict[UUID, str]]:
        """Return what `find_versions` does, with the accounts, of whatever workspace: the caller has to filter them."""
        now, versions = store.find_versions(c, ids)
        changed = [i for i, version in versions.items() if self._known.get(i, ("",))[0] != version]
        if changed:
            if len(self._known) + len(changed) > CAPACITY:
                changed = list(versions)
                self.clear()
            self._known |= store.find_accounts(c, changed)
        return now, {i: self._known[i][1] for i in versions}, versions

    def clear(self) -> None:
        """Forget every account."""
        self._known = {}


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
            self.clear()
        self._known |= read
        return found | {link: check for link, (check, _) in read.items()}

    def clear(self) -> None:
        """Forget every check."""
        self._known = {}


SIZE = 16
"""Bytes of a digest."""


class RuleInputs:
    """The digests of one batch, whose posts have one caller."""

    def __init__(self, context: Context, caller: Caller, facts: BatchFacts) -> None:
        settings = context.settings.model_dump_json()  # secrets are masked, and no rule goes by one
        common = f"{version('slipway')} {find_code_revision()} {caller.limits} {caller.accounts} {settings}"
        self._common = blake2b(common.encode(), digest_size=SIZE)
        self._accounts = {i: f"{i.hex} {row_version} ".encode() for i, row_version in facts.versions.items()}

    def digest(self, submission: Submission, checks: Mapping[int, Check]) -> bytes:
        """Return the digest for a post. ``checks``: one of each link, none undecided; a decided one never changes."""
        found = self._common.copy()
        for identity in submission.request.account_ids:
            found.update(self._accounts.get(identity, b"-"))
        for position in sorted(checks):
            found.update(checks[position].id.bytes)
        return found.digest()
