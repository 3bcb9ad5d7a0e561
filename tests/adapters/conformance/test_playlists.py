"""A published video joins a playlist of its channel once: a lost answer, a second try and a refusal in the sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from adapters.errors import RateLimited, Rejected, Retryable
from adapters.youtube.adapter import YouTube
from pipeline.domain.delivery import State
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import POST_CASES
from tests.adapters.conformance.simulation import DeliverySimulation

PLAYLIST = "PLmugs"
CASE = replace(
    next(case for case in POST_CASES if case.name == "youtube video"),
    account_options={"playlists": [PLAYLIST]},
    options={"playlist_id": PLAYLIST, "notify_subscribers": False},
)


@pytest.fixture
def published(environment: Environment) -> DeliverySimulation:
    environment.clear_faults()
    simulation = DeliverySimulation.create(environment, CASE).run()
    assert simulation.state is State.PUBLISHED
    return simulation


def add(simulation: DeliverySimulation, playlist: str | None = None) -> None:
    """Add the video as another worker does, which knows the draft and the video's id only."""
    adapter, _ = simulation.make_worker()
    assert isinstance(adapter, YouTube)
    assert simulation.published is not None
    asked = playlist or adapter.get_playlist(simulation.draft)
    adapter.add_to_playlist(simulation.account, simulation.published.remote_id, str(asked))


def list_items(simulation: DeliverySimulation) -> list[Any]:
    url = f"{simulation.environment.base}/youtube/youtube/v3/playlistItems"
    token = simulation.account.credentials.access_token.get_secret_value()
    answer = requests.get(
        url,
        params={"part": "contentDetails", "playlistId": PLAYLIST},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    return [item["contentDetails"]["videoId"] for item in answer.json()["items"]]


def test_it_is_added_once_however_often_it_is_tried(published: DeliverySimulation) -> None:
    assert published.published is not None
    for _ in range(3):
        add(published)
    assert list_items(published) == [published.published.remote_id]


@pytest.mark.parametrize("fault", ["effect-then-drop", "effect-then-garbage", "drop", "429"])
def test_a_lost_answer_adds_it_neither_twice_nor_never(published: DeliverySimulation, fault: str) -> None:
    published.environment.add_fault("youtube", "playlist", fault)
    with pytest.raises(Retryable):
        add(published)
    add(published)
    assert len(list_items(published)) == 1


def test_a_refusal_leaves_the_video_live(published: DeliverySimulation) -> None:
    with pytest.raises(Rejected) as refusal:
        add(published, "PLother")
    assert refusal.value.code == "playlist_not_found"
    uploads = "UU" + published.account.remote_id[2:]
    add(published, uploads)  # every video is in there
    with pytest.raises(Rejected) as refusal:
        add(replace_published(published), uploads)
    assert refusal.value.code == "playlist_not_writable"
    published.environment.add_fault("youtube", "playlist", "quota-exhausted")
    with pytest.raises(RateLimited):
        add(published)
    assert list_items(published) == []
    assert len(published.environment.list_live(published.account)) == 1


def replace_published(simulation: DeliverySimulation) -> DeliverySimulation:
    """Return the simulation with another video's id, so that the list of uploads does not show it."""
    assert simulation.published is not None
    return replace(simulation, published=replace(simulation.published, remote_id="another-id"))


def test_a_grant_without_the_scope_refuses_the_playlist_and_no_more(environment: Environment) -> None:
    scopes = [f"https://www.googleapis.com/auth/youtube.{name}" for name in ("upload", "readonly")]
    case = replace(CASE, account_options={"playlists": [PLAYLIST], "scopes": scopes})
    simulation = DeliverySimulation.create(environment, case).run()
    assert simulation.state is State.PUBLISHED
    with pytest.raises(Rejected) as refusal:
        add(simulation)
    assert refusal.value.code == "playlist_not_allowed"
