"""The inputs of the rules of a post other than request and clock, as a digest: the same one gives the same verdict.

A row of an import is validated when its file is planned, and again when it is applied only if the digest differs by
then: an account was changed, a check is another one, a setting, the key's limits or the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from importlib.metadata import version

from pipeline.runtime.context import Context
from pipeline.stages.ingest_caches import BatchFacts
from pipeline.stages.new_post import Submission
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.revision import find_code_revision

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
