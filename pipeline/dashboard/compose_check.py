"""What a form of a post would do: its accounts and files, its problems beside their fields, times, and previews.

The form is read as a row of a file is, and validated by every rule as ``POST /posts/validate`` does, except that
nothing waits for the checks of its files: a file that is still being checked says so, and the form is checked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions.validate import RequestFinding, ValidationResult, validate
from pipeline.dashboard.compose_form import (
    Choice,
    FormProblem,
    PostForm,
    build_body,
    find_place,
    find_stored,
    guess_content,
    list_choices,
)
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import READ_SECONDS, read_own_caller
from pipeline.dashboard.preview import KnownFile, Preview, build_preview, read_files
from pipeline.domain.account import AccountStatus
from pipeline.domain.audit import Actor
from pipeline.domain.post import NO_TIME
from pipeline.imports.validate import PostFormat
from pipeline.runtime.context import Context
from pipeline.stages.media_checks import pick
from pipeline.stages.post_request import PostContent, Refusal
from pipeline.stages.post_rules import describe_account
from pipeline.store.accounts.accounts import AccountRow, find_accounts, list_groups
from pipeline.store.files.files import File, find_own

_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:\+00:00|Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class FormFile:
    """One file of the form, as its list shows it."""

    url: str
    name: str
    known: KnownFile
    is_video: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformOptions:
    """The options of one of the chosen platforms; ``is_fixed``: they need a post for this platform alone."""

    platform: Platform
    choices: Sequence[Choice]
    is_fixed: bool


def check_form(context: Context, posts: PostFormat, actor: Actor, form: PostForm) -> dict[str, Any]:
    """Return what a form would do now. Raises HTTPException 404 for an unknown workspace.

    ``accounts``: all of the client that may be chosen; ``refusals``: the problems that keep it from being sent;
    ``dues``: the times of its accounts, earliest first; ``most``: characters of a caption; ``stored``: the post that
    the form edits.
    """
    with context.database.begin_read(READ_SECONDS) as c:
        caller = read_own_caller(c, actor, form.workspace)
        usable = [a for a in find_accounts(c, form.workspace) if a.status is not AccountStatus.INACTIVE]
        own, groups = find_files(c, context, form), list_groups(c, form.workspace)
    by_id = {str(account.id): account for account in usable}
    chosen = [by_id[one] for one in form.accounts if one in by_id]
    body, problems = build_body(form, posts.columns, name_types(own), caller.time_zone)
    content: PostContent = guess_content(body)
    result = ValidationResult()
    if not problems:
        try:
            request = content = posts.read(body)
            edited = parse_id_or_none(form.get("post"))
            result = validate(context, replace(caller, bulk=True), request, edited)
        except Refusal as refusal:
            problems = list_problems(form, refusal)
    found = [*problems, *_place_findings(form, result)]
    with context.database.begin_read(READ_SECONDS) as c:
        files = read_files(c, context, form.workspace, content)
        stored = find_stored(c, context, form, posts.columns, caller.time_zone)
    problems = list({(one.place, one.message): one for one in found}.values())
    return {
        "caller": caller,
        "accounts": usable,
        "groups": groups,
        "chosen": chosen,
        "files": [
            _describe_file(url, files.get(n, KnownFile()), own.get(url)) for n, url in enumerate(form.urls)
        ],
        "options": _list_options(context, posts, chosen),
        "previews": [_preview(context, content, account, files) for account in chosen],
        "problems": problems,
        "refusals": [one for one in problems if one.is_refusal],
        "dues": sorted(due for due in result.dues.values() if due < NO_TIME),
        "most": posts.max_caption,
        "stored": stored,
    }


def find_files(c: Connection, context: Context, form: PostForm) -> Mapping[str, File]:
    """Return the form's files that are files of its workspace, by URL."""
    names = {url: context.files.addresses.parse_name(url) for url in form.urls}
    found = {url: find_own(c, form.workspace, name) for url, name in names.items() if name}
    return {url: file for url, file in found.items() if file is not None}


def name_types(files: Mapping[str, File]) -> Mapping[str, str]:
    """Return the media types of files, by URL."""
    return {url: file.content_type for url, file in files.items()}


def list_problems(form: PostForm, refusal: Refusal) -> list[FormProblem]:
    """Return what a refusal says, beside the fields that it is about."""
    issues: Iterable[Mapping[str, Any]] = refusal.issues or [{"path": "", "message": refusal.message}]
    return [FormProblem(place=find_place(form, str(i["path"])), message=str(i["message"])) for i in issues]


def _place_findings(form: PostForm, result: ValidationResult) -> Iterator[FormProblem]:
    names = [describe_account(account) + ": " for account in result.accounts]
    for is_refusal, findings in ((True, result.refused), (False, result.warnings)):
        for one in findings:
            message = _ISO.sub(r"\1 \2 UTC", _drop(one, names))
            account = one.account.id if one.account else None
            yield FormProblem(
                place=find_place(form, one.field), message=message, is_refusal=is_refusal, account=account
            )


def _drop(finding: RequestFinding, names: Sequence[str]) -> str:
    """Return the message without the account that it begins with: the field says which one it is."""
    found = finding.message
    for name in names:
        found = found.removeprefix(name)
    return found


def _describe_file(url: str, known: KnownFile, own: File | None) -> FormFile:
    kind = own.content_type if own else known.facts.content_type if known.facts else ""
    name = (own.filename if own else None) or urlsplit(url).path.rpartition("/")[2]
    return FormFile(url=url, name=name or url, known=known, is_video=kind.startswith("video/"))


def _list_options(context: Context, posts: PostFormat, chosen: Sequence[AccountRow]) -> list[PlatformOptions]:
    platforms = [one for one in dict.fromkeys(a.platform for a in chosen) if one in context.adapters]
    found = []
    for platform in platforms:
        adapter = context.adapters[platform]
        needs_all = adapter.post_options is not None and adapter.post_options.accounts == "all"
        found.append(
            PlatformOptions(
                platform=platform,
                choices=list_choices(adapter, posts.columns),
                is_fixed=needs_all and len(platforms) > 1,
            )
        )
    return found


def _preview(
    context: Context, content: PostContent, account: AccountRow, files: Mapping[int, KnownFile]
) -> Preview:
    own, base = content.for_account(account.id), content.get_base(account.id)
    return build_preview(context, account.platform, account.username, own, pick(files, base), account.id)
