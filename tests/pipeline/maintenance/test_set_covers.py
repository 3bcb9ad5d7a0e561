"""Covers that are set after publishing: once where it works, again where it may, never to the delivery's harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import MediaFacts
from adapters.errors import PermissionMissing, Rejected, Unavailable
from pipeline.domain.delivery import State
from pipeline.maintenance.finish_published import set_covers
from pipeline.store.database import row
from pipeline.store.deliveries.published import record_cover
from pipeline.store.posts.views import read_post
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import Post

URL = "https://media.example/cover.jpg"
FACTS = MediaFacts(content_type="image/jpeg", bytes=10)


def covered(core: CoreFixture, state: State = State.PUBLISHED, **columns: str) -> Post:
    post = core.ledger.post([core.accounts["one"]], state)
    for name, value in columns.items():
        core.ledger.change(post.deliveries[0], f"{name} = {value}")
    with core.context.database.begin() as c:
        record_cover(c, post.deliveries[0], URL, FACTS)
    return post


def read(core: CoreFixture, delivery: UUID) -> Any:
    with core.context.database.begin() as c:
        return row(c, "SELECT *, next_at > now() AS waits FROM covers WHERE delivery_id = :id", id=delivery)


def make_due(core: CoreFixture, delivery: UUID) -> None:
    core.run("UPDATE covers SET next_at = now() WHERE delivery_id = :id", id=delivery)


def warning(core: CoreFixture, post: Post) -> str | None:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    assert found.deliveries[0].state == "published"
    return found.deliveries[0].cover_error


def read_remote(core: CoreFixture, post: Post) -> tuple[Any, ...]:
    found = core.ledger.delivery(post.deliveries[0])
    return found.remote_id, found.url, found.generation, found.fence, found.error


def run(core: CoreFixture, answer: Callable[[str], None] = lambda _: None) -> tuple[int, list[Any]]:
    script = Script(set_cover=answer)
    return set_covers(with_script(core.context, script)), [
        what for name, what in script.calls if name == "set_cover"
    ]


def test_the_cover_of_a_live_post_is_set_once(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r1'")
    waiting = covered(core, State.PROCESSING)
    assert run(core) == (1, [("r1", URL)])
    make_due(core, post.deliveries[0])
    assert run(core) == (0, [])
    assert (read(core, post.deliveries[0]).set_at is not None, warning(core, post)) == (True, None)
    assert read(core, waiting.deliveries[0]).tries == 0


def test_what_may_pass_is_tried_again_later_and_for_a_day(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r2'")
    assert run(core, raising(Unavailable("YouTube does not answer.")))[0] == 0
    found = read(core, post.deliveries[0])
    assert (found.tries, found.waits, found.failed_at) == (1, True, None)
    assert warning(core, post) == "YouTube does not answer."
    make_due(core, post.deliveries[0])
    assert run(core)[0] == 1
    assert warning(core, post) is None
    old = covered(core, remote_id="'r3'", published_at="now() - interval '2 days'")
    assert run(core, raising(Unavailable("Not yet.")))[0] == 0
    assert read(core, old.deliveries[0]).failed_at is not None


@pytest.mark.parametrize("error", [Rejected("It is no image."), PermissionMissing("No.")])
def test_what_cannot_pass_is_a_warning_and_the_delivery_stays(core: CoreFixture, error: Exception) -> None:
    post = covered(core, remote_id=f"'{type(error).__name__}'")
    before = core.ledger.states(post), read_remote(core, post)
    other = covered(core, remote_id=f"'other {type(error).__name__}'")

    def answer(remote_id: str) -> None:
        if not remote_id.startswith("other"):
            raise error

    assert run(core, answer)[0] == 1, "one that fails stops no other"
    make_due(core, post.deliveries[0])
    assert run(core) == (0, [])
    assert (warning(core, post), warning(core, other)) == (str(error), None)
    assert (core.ledger.states(post), read_remote(core, post)) == before


def test_a_later_arm_replaces_the_cover(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r4'")
    assert run(core, raising(Rejected("No.")))[0] == 0
    with core.context.database.begin() as c:
        record_cover(c, post.deliveries[0], URL + "?2", FACTS)
    assert run(core) == (1, [("r4", URL + "?2")])
    assert warning(core, post) is None


def test_a_fault_of_ours_is_not_shown_and_tried_again(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r5'")
    assert run(core, raising(ValueError("a secret")))[0] == 0
    assert warning(core, post) == "An error of this server stopped it."
    make_due(core, post.deliveries[0])
    assert run(core)[0] == 1


def test_a_cover_whose_job_died_after_the_call_is_set_once_more(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes
) -> None:
    post = covered(core, remote_id="'r6'")
    crashes.crash(environment, "covers.sent", "set_scripted_covers")
    assert (read(core, post.deliveries[0]).set_at, read(core, post.deliveries[0]).tries) == (None, 1)
    make_due(core, post.deliveries[0])
    assert run(core) == (1, [("r6", URL)])
