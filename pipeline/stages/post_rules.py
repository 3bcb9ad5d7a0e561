"""The rules of a post that need accounts, clock or adapters, for new posts, edits and validation.

Each rule raises the refusal of the HTTP contract; where several things can be wrong, another function finds them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import (
    Capabilities,
    Draft,
    Media,
    MediaFacts,
    MediaKind,
    Platform,
    PostForm,
    Problem,
    ResolvesMusic,
    Track,
)
from adapters.http import HttpClient
from adapters.limit import ImageRule
from adapters.post_options import PostOptions
from adapters.problems import refuse
from adapters.words import Words, WritesWords
from pipeline.domain.account import AccountStatus
from pipeline.domain.media_fitting import Conversion, describe_changes
from pipeline.domain.post import find_form, is_immediate
from pipeline.domain.validation_issue import build_issue
from pipeline.runtime.context import Context
from pipeline.stages.derived_images import amend_problems, find_rule, plan_images, predict_facts
from pipeline.stages.drafts import assemble_draft, list_urls
from pipeline.stages.media_checks import get_track, list_media_facts, pick
from pipeline.stages.post_request import PostContent, Refusal
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.ownership import restrict_accounts

_NO_CALLS = HttpClient()
"""``problems`` makes no request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountProblem:
    """One adapter's problem with one account's part of a post."""

    account: AccountRow
    problem: Problem
    """Its field is that of the request: of the account's entry, or of the post."""

    @property
    def sentence(self) -> str:
        """A sentence with account, rule, limit and found value."""
        return f"{describe_account(self.account)}: {self.problem.message}"


def find_music_platform(context: Context) -> Platform | None:
    """Return the platform whose post links ``music_url`` accepts: only one that resolves music can attach the sound."""
    return next((p for p, adapter in context.adapters.items() if issubclass(adapter, ResolvesMusic)), None)


def build_music_resolver(context: Context) -> ResolvesMusic | None:
    """Return that platform's adapter for one piece of work, or None if no platform resolves music."""
    platform = find_music_platform(context)
    return None if platform is None else cast("ResolvesMusic", context.adapter(platform, context.client()))


def find_problems(
    context: Context, content: PostContent, accounts: Iterable[AccountRow], checks: Mapping[int, Check]
) -> Sequence[AccountProblem]:
    """Find every problem of this content for these accounts; an unknown media fact counts as within its limit.

    *checks*: of all media of the post.
    """
    facts, track = list_media_facts(checks), get_track(checks)
    found: list[AccountProblem] = []
    for account in accounts:
        says, own = content.for_account(account.id), pick(facts, content.get_base(account.id))
        for problem in _find_problems(context, says, account, own, track):
            named = replace(problem, field=content.name_field(account.id, problem.field))
            found.append(AccountProblem(account=account, problem=named))
    return found


def _find_problems(
    context: Context,
    content: PostContent,
    account: AccountRow,
    facts: Mapping[int, MediaFacts | None],
    track: Track | None,
) -> Iterable[Problem]:
    """Find the problems of the draft that the platform will get: with images converted where they do not fit."""
    platform, media = account.platform, content.media
    if refused := _refuse_form(context.adapters[platform].capabilities, media):
        return [refused]
    draft, rule, plans = predict_draft(context, platform, content, facts, track)
    found = context.adapter(platform, _NO_CALLS).problems(draft, account.adapter_account)
    if media["type"] == "video":
        return _add_changes(context, account, facts.get(0), found)
    if rule is None or not (found or plans):
        return found
    return amend_problems(context, platform, rule, media, facts, plans, found)


class PredictedDraft(NamedTuple):
    """What a platform will get of a content, the rule of its images, and how those that do not fit are converted."""

    draft: Draft
    rule: ImageRule | None
    plans: Mapping[int, Conversion]


def predict_draft(
    context: Context,
    platform: Platform,
    content: PostContent,
    facts: Mapping[int, MediaFacts | None],
    track: Track | None = None,
) -> PredictedDraft:
    """Return what a platform will get. *content*: of one account; *facts*: of its media, by their positions."""
    media, section = content.media, content.options.get(platform, {})
    rule = find_rule(context, platform, media, section)
    plans = {} if rule is None else plan_images(rule, media, facts)
    predicted, converted = facts, {}
    if plans:
        predicted = predict_facts(facts, plans)
        converted = dict.fromkeys(plans, context.files.addresses.public_url("converted.jpg"))

    def build(position: int, url: str, kind: MediaKind, alt_text: str | None) -> Media:
        shown = converted.get(position, url)
        return Media(url=shown, kind=kind, facts=predicted.get(position), alt_text=alt_text)

    return PredictedDraft(assemble_draft(content, build, options=section, track=track), rule, plans)


def predict_words(context: Context, platform: Platform, draft: Draft) -> Words:
    """Return the words that the platform gets of a draft."""
    adapter = context.adapter(platform, _NO_CALLS)
    if isinstance(adapter, WritesWords):
        return adapter.write_words(draft)
    return Words(text=draft.caption, length=len(draft.caption))


_NOT_MEDIA = {PostForm.TEXT: "no posts of text alone", PostForm.DOCUMENT: "no documents"}
"""The forms that not every platform has, and whose drafts hold nothing that its adapter knows how to check."""


def _refuse_form(can: Capabilities, media: Mapping[str, Any]) -> Problem | None:
    form = find_form(media["type"], len(list_urls(media)))
    if form in can.post_kinds or form not in _NOT_MEDIA:
        return None
    message = (
        f"{can.display_name} takes {_NOT_MEDIA[form]}: send a video or images, or leave the account out."
    )
    return refuse("media.type", message, ", ".join(can.post_kinds), form)


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


def refuse_newer(context: Context, level: int) -> None:
    """Raise Refusal 409 for a post of a level above this process's: fields that it does not know would be lost."""
    if level > context.level:
        raise Refusal(
            409,
            "newer_version",
            f"The post has options of a newer version (level {level}; this server has level {context.level}). Nothing "
            "was changed: repeat the request when the server is upgraded.",
        )


def select_accounts(c: Connection, caller: Caller, ids: Sequence[UUID]) -> Sequence[AccountRow]:
    """Return the accounts in the order of ``ids``. Raises Refusal for unknown and inactive ones, and for none."""
    found = {a.id: a for a in find_accounts(c, caller.workspace_id, restrict_accounts(ids, caller.accounts))}
    return require_accounts(found, ids)


def require_accounts(found: Mapping[UUID, AccountRow], ids: Sequence[UUID]) -> Sequence[AccountRow]:
    """Pick accounts from the caller's. Raises Refusal as ``select_accounts``."""
    named = [found.get(i) for i in ids]
    good = [a for a in named if a is not None and a.status is not AccountStatus.INACTIVE]
    if len(good) < len(ids):
        names = ", ".join(str(i) for i in ids if found.get(i) not in good)
        raise build_refusal(
            "accounts", f"These accounts are not yours or not active: {names}.", "unknown_accounts"
        )
    if not ids:
        raise build_refusal("accounts", "accounts is empty: name at least one account.", "missing_accounts")
    return good


def resolve_due_at(asked: datetime | None, now: datetime, field: str = "scheduled_at") -> datetime:
    """Return the due time: now, or the requested time (of *field*). Raises Refusal for a time in the past."""
    if asked is None or is_immediate(asked, now):
        return now
    if asked < now:
        raise build_refusal(
            field,
            f"{field} {asked.isoformat()} is in the past (now {now.isoformat()}). "
            "Send null to publish at once.",
        )
    return asked


def resolve_own_times(
    content: PostContent, accounts: Iterable[UUID], due_at: datetime, now: datetime
) -> dict[UUID, datetime]:
    """Return the due time of each account. *due_at*: of those without a time of their own. Raises as resolve_due_at."""
    own = {i: one.scheduled_at for i, one in content.own.items() if one.scheduled_at is not None}
    return {
        i: resolve_due_at(own[i], now, f"accounts[{i}].scheduled_at") if i in own else due_at
        for i in accounts
    }


def refuse_expired(expires_at: datetime | None, now: datetime) -> None:
    """Raise Refusal when the post's own deadline has passed."""
    if expires_at is not None and expires_at <= now:
        raise build_refusal(
            "expires_at", f"expires_at {expires_at.isoformat()} has passed (now {now.isoformat()})."
        )


def refuse_account_conflicts(context: Context, content: PostContent, accounts: Sequence[AccountRow]) -> None:
    """Raise the first of ``find_account_conflicts``."""
    for refusal in find_account_conflicts(context, content, accounts):
        raise refusal


def find_account_conflicts(
    context: Context, content: PostContent, accounts: Sequence[AccountRow]
) -> Iterator[Refusal]:
    """Find options, or music, that the platforms of the accounts rule out, in the post and in entries of accounts."""
    for field, platform in _need_all_accounts(context, content):
        if others := [a for a in accounts if a.platform is not platform]:
            name, other = _display_name(context, platform), describe_account(others[0])
            yield build_refusal(
                field, f"{field} may only be sent when all accounts are {name}; {other} is not."
            )
    for platform in content.options:
        if all(a.platform is not platform for a in accounts) and not _needs_all(context, platform):
            name = _display_name(context, platform)
            message = f"{platform} may only be sent when at least one account is {name}; none is."
            yield build_refusal(platform, message)
    yield from _find_entry_conflicts(context, content, accounts)
    if missing := [a for a in accounts if a.platform not in context.adapters]:
        yield build_refusal(
            "accounts",
            f"Publishing to {missing[0].platform} is not built yet ({describe_account(missing[0])}).",
        )


def _find_entry_conflicts(
    context: Context, content: PostContent, accounts: Sequence[AccountRow]
) -> Iterator[Refusal]:
    """Find sections of entries that are not their account's, or not together with others, and not with its media."""
    sections = {*content.options, *(p for own in content.own.values() for p in own.options)}
    for account in accounts:
        own = content.own.get(account.id)
        for platform in () if own is None else own.options:
            field = f"accounts[{account.id}].{platform}"
            if platform is not account.platform:
                name = describe_account(account)
                yield build_refusal(field, f"{field} is not of the account's platform: it is the {name}.")
            elif (model := _get_options(context, platform)) and (others := sections & model.excludes):
                other = min(others)
                yield build_refusal(field, f"{platform} and {other} cannot be sent together: make two posts.")
        if own is not None:
            yield from find_media_conflicts(context, content.for_account(account.id), account.platform)


def _get_options(context: Context, platform: Platform) -> type[PostOptions] | None:
    adapter = context.adapters.get(platform)
    return None if adapter is None else adapter.post_options


def _need_all_accounts(context: Context, content: PostContent) -> list[tuple[str, Platform]]:
    """Return the fields that need all accounts to be of one platform, with that platform."""
    fields: list[tuple[str, Platform]] = [(p, p) for p in content.options if _needs_all(context, p)]
    if content.music_url is not None and (music := find_music_platform(context)):
        fields.append(("music_url", music))
    return fields


def _needs_all(context: Context, platform: Platform) -> bool:
    model = _get_options(context, platform)
    return model is not None and model.accounts == "all"


def _display_name(context: Context, platform: Platform) -> str:
    adapter = context.adapters.get(platform)
    return platform if adapter is None else adapter.capabilities.display_name


def find_media_conflicts(
    context: Context, content: PostContent, only: Platform | None = None
) -> Iterator[Refusal]:
    """Find options that media of this type rule out; *only*: those of this platform."""
    for platform, options in content.options.items():
        if only in (None, platform) and (model := _get_options(context, platform)):
            for conflict in model.find_media_conflicts(options, content.media["type"]):
                yield build_refusal(f"{platform}.{conflict.field}", conflict.message)


def parse_music_link(context: Context, music_url: str | None) -> str | None:
    """Return the canonical form of the link. Raises Refusal when no platform resolves such a link."""
    if music_url is None:
        return None
    resolver, platform = build_music_resolver(context), find_music_platform(context)
    link = None if resolver is None else resolver.music_link(music_url)
    if link is None:
        expected = "a link that can be resolved"
        if platform is not None:
            capabilities = context.adapters[platform].capabilities
            expected = f"the link of a {capabilities.display_name} post ({capabilities.music_link_example})"
        raise build_refusal("music_url", f"music_url {music_url!r} is not {expected}.", "invalid_music_url")
    return link


def refuse_problems(
    context: Context,
    caller: Caller,
    content: PostContent,
    accounts: Sequence[AccountRow],
    checks: Mapping[int, Check],
) -> Sequence[AccountProblem]:
    """Return the problems that only warn. Raises Refusal with every problem that blocks the post."""
    found = find_problems(context, content, accounts, checks)
    refused = [m for m in found if is_blocking(context, caller, m)]
    if refused:
        issues = tuple(build_issue((m.problem.field,), m.sentence, "rule") for m in refused)
        raise Refusal(400, "validation_failed", " ".join(m.sentence for m in refused), issues)
    return found


def is_blocking(context: Context, caller: Caller, found: AccountProblem) -> bool:
    """Return True if the problem blocks posts of this key; otherwise it is a warning."""
    required = caller.limits.music_required
    strict = context.settings.ingest.music_required if required is None else required
    return (strict and found.problem.code.startswith("MUSIC_")) or found.problem.severity == "refuse"


def build_refusal(field: str, message: str, code: str = "validation_failed", status: int = 400) -> Refusal:
    """Build a refusal about one field."""
    return Refusal(status, code, message, (build_issue((field,), message, "rule"),))


def describe_account(account: AccountRow) -> str:
    """Return the account as messages name it."""
    return f"{account.platform} account {account.username} ({account.id})"
