"""Whether a post fits its accounts: every adapter's limits, asked at ingest and again after the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from adapters.contract import Account, Credentials, Draft, Media, MediaFacts, Problem, Track
from adapters.http import HttpClient
from pipeline.context import Context
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import PostContent
from pipeline.store.accounts.accounts import AccountRow

_NO_CREDENTIALS = Credentials(access_token=SecretStr(""))
_NO_CALLS = HttpClient()
"""Judging a draft asks nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountProblem:
    """One adapter's problem with one account's part of a post."""

    account: AccountRow
    problem: Problem

    @property
    def sentence(self) -> str:
        """Names the account, then rule, limit and value found."""
        return f"{self.account.platform} account {self.account.username} ({self.account.id}): {self.problem.message}"


def find_problems(
    context: Context,
    content: PostContent,
    accounts: Iterable[AccountRow],
    facts: Mapping[int, MediaFacts | None],
    track: Track | None,
) -> Sequence[AccountProblem]:
    """Everything that is wrong with this content for these accounts, several together; unknown facts are not judged."""
    return [
        AccountProblem(account=account, problem=problem)
        for account in accounts
        for problem in context.adapter(account.platform, _NO_CALLS).problems(
            _draft(content, account, facts, track), _seen(account)
        )
    ]


def _draft(
    content: PostContent, account: AccountRow, facts: Mapping[int, MediaFacts | None], track: Track | None
) -> Draft:
    video = content.media["type"] == "video"
    return Draft(
        delivery_id="",
        caption=content.caption,
        kind="video" if video else "slideshow",
        media=tuple(
            Media(url=url, kind="video" if video else "image", facts=facts.get(n))
            for n, url in enumerate(list_urls(content.media))
        ),
        options=content.options.get(account.platform, {}),
        music_url=content.music_url,
        track=track,
    )


def _seen(account: AccountRow) -> Account:
    """The account without its secrets: judging a draft needs none."""
    return Account(
        id=str(account.id),
        platform=account.platform,
        connection=account.connection,
        remote_id=account.remote_id,
        username=account.username,
        settings=account.settings,
        credentials=_NO_CREDENTIALS,
    )
