"""Mammoth's section of a request reaches the API, the rules and the draft from the adapter alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from adapters.contract import Account, Draft, Platform, PlatformSettings, Problem
from adapters.registry import ADAPTERS
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import PostFields, add_options, read_post
from pipeline.domain.account import AccountStatus
from pipeline.domain.post import find_form, find_kind
from pipeline.media.uploads import UploadUrls
from pipeline.stages import post_rules
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import PostRequest, Refusal
from pipeline.store.accounts.accounts import AccountRow
from pipeline.wiring import list_post_options
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation
from tests.adapters.example.mammoth.adapter import Mammoth, MammothOptions
from tests.adapters.example.word import MAMMOTH

BODY = add_options(PostFields, "PostBody", {**list_post_options(), MAMMOTH: MammothOptions})
SECTION = {"spoiler_text": "tusks", "visibility": "unlisted"}


def read(**sections: Any) -> PostRequest:
    media = {"type": "slideshow", "urls": ["https://media.example/1.jpg"]}
    body = {"caption": "Hello", "media": media, "accounts": [{"id": str(uuid4())}], **sections}
    return read_post(body, Rules(), model=BODY)


def refused(**sections: Any) -> Mapping[str, Any]:
    with pytest.raises(Refusal) as caught:
        read(**sections)
    [issue] = caught.value.issues
    return issue


def account(platform: Platform) -> AccountRow:
    return AccountRow(
        id=uuid4(),
        workspace_id=uuid4(),
        platform=platform,
        connection="user",
        remote_id="1",
        username="ann",
        display_name="Ann",
        status=AccountStatus.ACTIVE,
        settings={},
        expires_at=None,
        refresh_expires_at=None,
        renewable=False,
        error=None,
    )


@pytest.fixture
def context() -> Any:
    """A context with all that the rules read of it: the adapters, and where our files are served."""
    settings = PlatformSettings(hosts={"api": "https://mammoth.example"})
    adapters = {**ADAPTERS, MAMMOTH: Mammoth}
    files = SimpleNamespace(addresses=UploadUrls(public="https://slipway.example", keys=()))
    return SimpleNamespace(adapters=adapters, adapter=lambda p, c: adapters[p](c, settings), files=files)


def test_the_section_is_decoded_by_the_adapters_model() -> None:
    assert read(mammoth=SECTION).options == {MAMMOTH: SECTION}
    assert read(mammoth={"visibility": None}).options == {MAMMOTH: {}}
    assert read(mammoth=None).options == {}
    assert read(mammoth=SECTION, pinterest={"title": "t"}).options.keys() == {MAMMOTH, Platform.PINTEREST}


def test_what_is_wrong_with_it_is_told_as_for_every_platform() -> None:
    assert refused(mammoth={"visibility": "nobody"})["path"] == "mammoth.visibility"
    issue = refused(mammoth={"spoiler_txt": "x"})
    assert (issue["path"], issue["type"]) == ("mammoth.spoiler_txt", "extra_forbidden")
    assert "`spoiler_text`" in issue["message"]
    assert "tiktok and mammoth cannot be sent together" in refused(mammoth={}, tiktok={})["message"]


def test_it_needs_an_account_of_its_platform(context: Any) -> None:
    request = read(mammoth=SECTION)
    assert (
        list(rules.find_account_conflicts(context, request, [account(MAMMOTH), account(Platform.FACEBOOK)]))
        == []
    )
    [refusal] = rules.find_account_conflicts(context, request, [account(Platform.FACEBOOK)])
    assert refusal.message == "mammoth may only be sent when at least one account is Mammoth; none is."


def test_the_adapter_judges_it(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Mapping[str, Any]] = []

    def note(_self: Mammoth, draft: Draft, _account: Account) -> Sequence[Problem]:
        seen.append(draft.options)
        return ()

    monkeypatch.setattr(Mammoth, "problems", note)
    assert post_rules.find_problems(context, read(mammoth=SECTION), [account(MAMMOTH)], {}) == []
    assert seen == [SECTION]


def test_a_post_of_images_is_a_status() -> None:
    assert find_kind(Mammoth.capabilities, find_form("slideshow", 2), is_inbox_draft=False) == "images"


def test_it_is_published_with_the_status(environment: Environment, post_case: PostCase) -> None:
    simulation = DeliverySimulation.create(environment, post_case).run()
    [live] = environment.list_live(simulation.account)
    published = live["extra"]["status"]
    assert {name: published[name] for name in SECTION} == SECTION == post_case.options
