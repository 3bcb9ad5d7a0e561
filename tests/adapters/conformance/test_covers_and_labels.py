"""Covers and AI labels reach the platforms that take them, in the vendor's form, and a lost answer loses neither."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from adapters.contract import Media
from pipeline.domain.delivery import State
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import POST_CASES
from tests.adapters.conformance.simulation import DeliverySimulation

BY_NAME = {case.name: case for case in POST_CASES}
PICTURE = "sample-1.jpg"


def create(environment: Environment, name: str, *, has_cover: bool = True) -> DeliverySimulation:
    case = BY_NAME[name]
    simulation = DeliverySimulation.create(environment, case)
    cover = environment.make_media(case, PICTURE) if has_cover else None
    simulation.draft = replace(simulation.draft, ai_generated=True, cover=cover)
    return simulation


def hash_picture(environment: Environment) -> str:
    return sha256((environment.folder / "media" / PICTURE).read_bytes()).hexdigest()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("facebook video", "thumb"),
        ("linkedin video of an organization", "thumbnail"),
        ("linkedin video of a member", "thumbnail"),
    ],
)
def test_an_image_is_the_cover_of_the_video(
    environment: Environment, name: str, field: str, *, lost: bool
) -> None:
    simulation = create(environment, name)
    if lost:
        step = "finalize" if name.startswith("facebook") else "upload"
        environment.add_fault(simulation.post_case.sandbox_platform, step, "drop")
    assert simulation.run().state is State.PUBLISHED
    [line] = environment.list_live(simulation.account)
    assert line["extra"][field] == hash_picture(environment)
    assert not simulation.list_leaks()


@pytest.mark.parametrize("name", ["facebook video", "facebook reel", "facebook reel, bytes"])
@pytest.mark.parametrize("has_cover", [False, True])
def test_a_video_and_a_reel_are_labelled_as_ai_generated(
    environment: Environment, name: str, *, has_cover: bool
) -> None:
    simulation = create(environment, name, has_cover=has_cover).run()
    assert simulation.state is State.PUBLISHED
    [line] = environment.list_live(simulation.account)
    assert line["extra"]["is_ai_generated"] is True


def test_a_cover_between_two_seconds_is_a_whole_second(environment: Environment) -> None:
    simulation = create(environment, "pinterest video, with a link")
    simulation.draft = replace(simulation.draft, cover=2.75)
    assert simulation.run().state is State.PUBLISHED
    [line] = environment.list_live(simulation.account)
    assert line["extra"]["cover"] == 2


def test_a_source_that_breaks_before_the_visible_call_leaves_the_outcome_known(
    environment: Environment,
) -> None:
    """The cover is read first: nothing was sent, so the call is made again without a look."""
    simulation = create(environment, "facebook video")
    simulation.run_until_ready()
    whole = simulation.draft
    assert isinstance(whole.cover, Media)
    simulation.draft = replace(whole, cover=replace(whole.cover, stream=lambda *_: iter([b"half"])))
    simulation.publish()
    assert (simulation.state, simulation.finalize_calls) == (State.RETRYING, 0)
    simulation.draft = whole
    assert simulation.run().state is State.PUBLISHED
    assert simulation.look_results, "the platform's processing was looked at"
