"""Validate a post against its accounts' platforms: each adapter's limits, at ingest and again after the checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.contract import Draft, Media, MediaFacts, Problem, Track
from adapters.http import HttpClient
from pipeline.domain.media_fitting import describe_changes
from pipeline.runtime.context import Context
from pipeline.stages.derived_images import amend_problems, find_rule, plan_images, predict_facts
from pipeline.stages.drafts import get_alt_text, get_cover_url, list_urls
from pipeline.stages.media_checks import COVER
from pipeline.stages.post_request import PostContent
from pipeline.store.accounts.accounts import AccountRow

_NO_CALLS = HttpClient()
"""``problems`` makes no request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountProblem:
    """One adapter's problem with one account's part of a post."""

    account: AccountRow
    problem: Problem

    @property
    def sentence(self) -> str:
        """A sentence with account, rule, limit and found value."""
        return f"{self.account.platform} account {self.account.username} ({self.account.id}): {self.problem.message}"


def find_problems(
    context: Context,
    content: PostContent,
    accounts: Iterable[AccountRow],
    facts: Mapping[int, MediaFacts | None],
    track: Track | None,
) -> Sequence[AccountProblem]:
    """Find every problem of this content for these accounts; an unknown media fact counts as within its limit."""
    return [
        AccountProblem(account=account, problem=problem)
        for account in accounts
        for problem in _find_problems(context, content, account, facts, track)
    ]


def _find_problems(
    context: Context,
    content: PostContent,
    account: AccountRow,
    facts: Mapping[int, MediaFacts | None],
    track: Track | None,
) -> Iterable[Problem]:
    """Find the problems of the draft that the platform will get: with images converted where they do not fit."""
    platform, media = account.platform, content.media
    rule = find_rule(context, platform, media)
    plans = {} if rule is None else plan_images(rule, media, facts)
    predicted, converted = facts, {}
    if plans:
        predicted = predict_facts(facts, plans)
        converted = dict.fromkeys(plans, context.files.addresses.public_url("converted.jpg"))
    draft = _build_draft(content, account, predicted, track, converted)
    found = context.adapter(platform, _NO_CALLS).problems(draft, account.adapter_account)
    if media["type"] == "video":
        return _add_changes(context, account, facts.get(0), found)
    if rule is None or not (found or plans):
        return found
    return amend_problems(context, platform, rule, media, facts, plans, found)


def _add_changes(
    context: Context, account: AccountRow, facts: MediaFacts | None, found: Iterable[Problem]
) -> Iterator[Problem]:
    """Yield the problems; the first that refuses the video says all that has to change about it."""
    limits = context.adapters[account.platform].capabilities.limits
    changes = None if facts is None else describe_changes(facts, limits, account.connection)
    for problem in found:
        if changes and problem.severity == "refuse" and problem.field == "media.url":
            yield replace(problem, message=f"{problem.message} {changes}")
            changes = None
        else:
            yield problem


def _build_draft(
    content: PostContent,
    account: AccountRow,
    facts: Mapping[int, MediaFacts | None],
    track: Track | None,
    converted: Mapping[int, str],
) -> Draft:
    """Build the draft. ``converted``: the URLs of images that are not sent as they are."""
    video = content.media["type"] == "video"
    return Draft(
        delivery_id="",
        caption=content.caption,
        kind="video" if video else "slideshow",
        media=tuple(
            Media(
                url=converted.get(n, url),
                kind="video" if video else "image",
                facts=facts.get(n),
                alt_text=get_alt_text(content.media, n),
            )
            for n, url in enumerate(list_urls(content.media))
        ),
        cover=_build_cover(content.media, facts.get(COVER)),
        options=content.options.get(account.platform, {}),
        ai_generated=content.ai_generated,
        music_url=content.music_url,
        track=track,
    )


def _build_cover(media: Mapping[str, Any], facts: MediaFacts | None) -> float | Media | None:
    url = get_cover_url(media)
    return media.get("cover") if url is None else Media(url=url, kind="image", facts=facts)
