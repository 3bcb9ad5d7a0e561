"""Posts without a file and documents, from the request to the ledger: checks, refusals, edits and retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import MediaFacts, Platform
from pipeline.actions.cancel_delete_retry import retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.validate import validate
from pipeline.domain.delivery import State
from pipeline.stages.drafts import build_draft
from pipeline.stages.ingest import ingest_bulk
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, Refusal
from pipeline.stages.reachability import advance_post
from tests.pipeline.core_fixture import VIDEO, CoreFixture, with_options
from tests.pipeline.store.ledger import HOUR

TEXT = {"type": "text"}
PDF = "https://media.example/c.pdf"
DOCUMENT = {"type": "document", "url": PDF, "title": "Catalogue"}
GOOD_DOCUMENT = {"content_type": "application/pdf", "bytes": 90_000, "pages": 12, "etag": '"1"'}
LINK = "https://example.com/jobs"


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """An account at each of three platforms; LinkedIn's is an organization."""
    for platform in (Platform.LINKEDIN, Platform.FACEBOOK, Platform.TIKTOK):
        core.account(platform, platform)
    core.run(
        "UPDATE accounts SET connection = 'organization', remote_id = 'urn:li:organization:1' WHERE id = :id",
        id=core.accounts["linkedin"],
    )
    return core


def given(core: CoreFixture, *names: str, media: Mapping[str, Any] = TEXT, **more: Any) -> dict[str, Any]:
    return {"media": dict(media), "account_ids": [core.accounts[name] for name in names], **more}


def states(core: CoreFixture, post: UUID) -> set[str]:
    return {delivery.state for delivery in core.deliveries(post)}


@pytest.mark.parametrize("later", [False, True], ids=["now", "later"])
def test_a_text_has_no_check_and_is_scheduled_at_once(ready: CoreFixture, *, later: bool) -> None:
    due = ready.now() + HOUR if later else None
    accepted = ready.accept(**given(ready, "linkedin", "facebook", scheduled_at=due, linkedin={"link": LINK}))
    assert (accepted.status, accepted.warnings) == ("scheduled" if later else "pending", [])
    assert (states(ready, accepted.id), ready.messages("reachability")) == ({"scheduled"}, 0)
    submission = Submission(
        caller=ready.caller, request=ready.request(**given(ready, "linkedin", scheduled_at=due))
    )
    [bulk] = ingest_bulk(ready.context, [submission])
    assert isinstance(bulk, AcceptedPost)
    assert states(ready, bulk.id) == {"scheduled"}


@pytest.mark.parametrize(
    ("media", "names", "refused"),
    [(TEXT, ("linkedin", "tiktok"), "tiktok"), (DOCUMENT, ("linkedin", "facebook"), "facebook")],
    ids=["text", "document"],
)
def test_an_account_that_cannot_is_named(
    ready: CoreFixture, media: Mapping[str, Any], names: tuple[str, ...], refused: str
) -> None:
    ready.decided(PDF, "document", facts=GOOD_DOCUMENT)
    refusal = ready.refused(**given(ready, *names, media=media))
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert f"({ready.accounts[refused]})" in refusal.message
    assert f"({ready.accounts['linkedin']})" not in refusal.message
    assert [issue["path"] for issue in refusal.issues] == ["media.type"]
    result = validate(ready.context, ready.caller, ready.request(**given(ready, *names, media=media)))
    assert [result.kinds[0] is not None, result.kinds[1]] == [True, None]
    assert [(one.field, one.account and one.account.platform) for one in result.refused] == [
        ("media.type", refused)
    ]


def test_a_document_waits_for_its_check_and_is_sent_with_its_title(ready: CoreFixture) -> None:
    waiting = ready.accept(**given(ready, "linkedin", media=DOCUMENT))
    assert [one.code for one in waiting.warnings] == ["REACHABILITY_PENDING"]
    assert states(ready, waiting.id) == {"accepted"}
    ready.decided(PDF, "document", facts=GOOD_DOCUMENT)
    with ready.context.database.begin() as c:
        advance_post(ready.context, c, waiting.id)
    assert states(ready, waiting.id) == {"scheduled"}
    [delivery] = ready.deliveries(waiting.id)
    draft = build_draft(ready.context, ready.ledger.read_claimed(delivery.id))
    assert (draft.kind, draft.title) == ("document", "Catalogue")
    [file] = draft.media
    assert (file.kind, file.url, file.facts) == ("document", PDF, MediaFacts(**GOOD_DOCUMENT))  # type: ignore[arg-type]


def change(core: CoreFixture, post: UUID, **fields: Any) -> None:
    edit(core.context, core.caller, post, Change(given=frozenset(fields), **with_options(fields)))


def test_an_edit_makes_a_text_of_a_video_and_a_video_of_a_text(ready: CoreFixture) -> None:
    ready.decided()
    post = ready.accept(
        **given(ready, "facebook", media={"type": "video", "url": VIDEO}, scheduled_at=ready.now() + 2 * HOUR)
    )
    change(ready, post.id, media=TEXT, facebook={"link": LINK})
    assert (states(ready, post.id), ready.deliveries(post.id)[0].level) == ({"scheduled"}, 4)
    with pytest.raises(Refusal, match="A link is for a post of text alone") as caught:
        change(ready, post.id, media={"type": "video", "url": VIDEO})
    assert (caught.value.status, caught.value.code) == (400, "validation_failed")
    change(ready, post.id, media={"type": "video", "url": VIDEO}, facebook=None)
    assert states(ready, post.id) == {"scheduled"}


def test_a_failed_text_is_retried_without_a_check(ready: CoreFixture) -> None:
    post = ready.accept(**given(ready, "linkedin", "facebook"))
    for delivery in ready.deliveries(post.id):
        ready.ledger.change(delivery.id, "state = 'failed'")
    done = retry(ready.context, ready.caller, [post.id])
    assert done.ids == [post.id]
    assert states(ready, post.id) == {State.SCHEDULED}
