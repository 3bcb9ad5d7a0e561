"""After a restore nothing is known of a post but its draft: what each platform's list of the account's posts proves."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from adapters.contract import CannotTell, Draft, PostForm, Published
from adapters.listing import Asked, Listing
from pipeline.domain.delivery import State
from pipeline.domain.restore import evaluate_listing
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.lost_responses import get_documented_outcomes
from tests.adapters.conformance.post_cases import PHOTO, PostCase
from tests.adapters.conformance.simulation import ContractViolation, DeliverySimulation, is_read

HOUR = timedelta(hours=1)
SHOW_NO_LENGTH = {
    "tiktok business video",
    "instagram reel",
    "linkedin video of an organization",
    "linkedin document of an organization",
}
"""Of these only the number and the types of the files are shown, so that is what agrees."""
FOUND, CANDIDATE, NEVER = "found in the list", "shown as a candidate", "cannot be asked"


def list_posts(simulation: DeliverySimulation, draft: Draft, since: datetime) -> Listing:
    """List as a new worker without a checkpoint; require that every request is a read."""
    adapter, client = simulation.make_worker()
    listing = adapter.list_posts(draft, simulation.account, since)
    simulation.outputs += [repr(listing), str(listing)]
    if not all(is_read(method, url) and not visible for method, url, visible in client.calls):
        raise ContractViolation(client.calls)
    return listing


def judge(
    listing: Listing, due: datetime, taken: Container[str] = (), *, is_twin: bool = False
) -> Published | CannotTell:
    until = due + 2 * HOUR
    return evaluate_listing(listing, "It", since=due, due=due, until=until, taken=taken, is_twin=is_twin)


def test_a_live_post_without_a_handle_is_found_or_shown_or_cannot_be_asked_for(
    environment: Environment, every_case: PostCase
) -> None:
    due = datetime.now(UTC)
    simulation = DeliverySimulation.create(environment, every_case).run()
    assert simulation.state is State.PUBLISHED
    assert simulation.published is not None
    [live] = environment.list_live(simulation.account)
    documented = get_documented_outcomes(every_case)[2]

    listing = list_posts(simulation, simulation.draft, due)
    result = judge(listing, due)
    assert not simulation.list_leaks()
    if documented == NEVER:
        assert (listing.asked, listing.posts) == (Asked.NEVER, ())
        assert isinstance(result, CannotTell)
        assert result.reason.startswith("It cannot be asked: ")
        return
    [post] = listing.posts
    assert (post.remote_id, post.url) == (live["remote_id"], simulation.published.url or live["url"])
    if documented == FOUND:
        assert result == Published(remote_id=live["remote_id"], url=post.url)
    else:
        assert documented == CANDIDATE
        assert isinstance(result, CannotTell)
        assert [replace(one, same_time=None) for one in result.candidates] == [post]

    taken = judge(listing, due, {live["remote_id"]})
    assert isinstance(taken, CannotTell)
    assert not taken.candidates, "another delivery owns it"
    if not post.is_marked:
        for unproven in (judge(listing, due + HOUR), judge(listing, due, is_twin=True)):
            assert isinstance(unproven, CannotTell), "made before it was due, or a twin may have made it"
            assert len(unproven.candidates) == 1


def test_a_post_that_differs_is_a_candidate_and_an_empty_list_proves_nothing(
    environment: Environment, post_case: PostCase
) -> None:
    if get_documented_outcomes(post_case)[2] == NEVER:
        return
    due = datetime.now(UTC)
    simulation = DeliverySimulation.create(environment, post_case)
    nothing = judge(list_posts(simulation, simulation.draft, due), due)
    assert isinstance(nothing, CannotTell)
    assert "which proves nothing" in nothing.reason
    simulation.run()
    [live] = environment.list_live(simulation.account)
    for other in list_other_drafts(simulation):
        result = judge(list_posts(simulation, other, due), due)
        assert isinstance(result, CannotTell), other
        shown = {one.remote_id for one in result.candidates}
        assert shown <= {live["remote_id"]}, "a video list does not show pictures"
    later = list_posts(simulation, simulation.draft, datetime.now(UTC) + HOUR)
    assert [post for post in later.posts if post.created_at is not None] == []


def list_other_drafts(simulation: DeliverySimulation) -> list[Draft]:
    """Return drafts of other deliveries that differ from the live post in text, kind or files, as far as shown."""
    draft, post_case = simulation.draft, simulation.post_case
    other = replace(draft, delivery_id=str(uuid4()))
    drafts = [replace(other, caption=f"{draft.caption} more")]
    picture = simulation.environment.make_media(post_case, PHOTO[0])
    if not draft.media:
        return [*drafts, replace(other, kind="slideshow", media=(picture,))]
    media = draft.media[0]
    if draft.kind == "slideshow":
        return [*drafts, replace(other, media=(*draft.media, media))]
    if f"{post_case.platform} {post_case.kind}" not in SHOW_NO_LENGTH:
        assert media.facts is not None
        facts = replace(media.facts, duration=60.0, bytes=9_999_999)
        drafts.append(replace(other, media=(replace(media, facts=facts),)))
    if PostForm.IMAGE in simulation.make_worker()[0].capabilities.post_kinds:
        drafts.append(replace(other, kind="slideshow", media=(picture,)))
    return drafts
