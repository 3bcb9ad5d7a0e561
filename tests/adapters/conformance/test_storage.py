"""Nothing after arm needs the media's source: what the visible call sends is in memory, or open, before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import Media, Ready
from adapters.errors import AdapterError, Rejected, StorageFault, Unavailable
from adapters.transport import get_size, open_range
from pipeline.domain import retry_policy
from pipeline.domain.delivery import State
from pipeline.media import spool
from pipeline.media.spool import SentRange
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation


def take_away(media: Media, is_away: Callable[[], bool]) -> Media:
    """Return the media with a source that fails from the instant that it is taken away."""
    source = media.stream
    assert source is not None

    def stream(first: int, length: int) -> Iterator[bytes]:
        for piece in source(first, length):
            if is_away():
                raise StorageFault("the storage was taken away")
            yield piece

    return replace(media, stream=stream)


def break_source(media: Media, kind: str, asked: list[str]) -> Media:
    """Return the media with a source that ends early, ends at once, or notices that the file has changed."""
    source = media.stream
    assert source is not None

    def stream(first: int, length: int) -> Iterator[bytes]:
        asked.append(kind)
        if kind == "empty":
            return
        yield b"".join(source(first, length))[:-10]
        if kind == "changed":
            raise Rejected("The file is no longer the one that was checked.", code="media_changed")

    return replace(media, stream=stream)


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("short", Unavailable, "media_unavailable"),
        ("empty", Unavailable, "media_unavailable"),
        ("changed", Rejected, "media_changed"),
    ],
)
def test_a_source_that_fails_in_prepare_is_reported_as_it_failed(
    environment: Environment, post_case: PostCase, kind: str, error: type[AdapterError], code: str
) -> None:
    simulation, asked = DeliverySimulation.create(environment, post_case), list[str]()
    media = tuple(break_source(one, kind, asked) for one in simulation.draft.media)
    simulation.draft = replace(simulation.draft, media=media)
    caught: AdapterError | None = None
    try:
        simulation.run_until_ready()
    except AdapterError as failure:
        caught = failure
    assert bool(asked) is (caught is not None), "a platform that pulls files asks for none"
    if caught is not None:
        assert (type(caught), caught.code) == (error, code)
    assert environment.list_live(simulation.account) == []


def test_a_file_without_a_source_or_size_is_unavailable() -> None:
    media = Media(url="https://example.com/v.mp4", kind="video")
    for read in (lambda: open_range(media, 0, 10), lambda: get_size(media)):
        with pytest.raises(Unavailable) as caught:
            read()
        assert caught.value.code == "media_unavailable"


def test_storage_taken_away_at_arm_lets_the_visible_call_out_whole(
    environment: Environment, post_case: PostCase, tmp_path: Path
) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    draft, away = simulation.draft, [False]
    media = tuple(take_away(one, lambda: away[0]) for one in draft.media)
    cover = take_away(draft.cover, lambda: away[0]) if isinstance(draft.cover, Media) else draft.cover
    simulation.draft = replace(draft, media=media, cover=cover)
    simulation.run_until_ready()
    ready = simulation.prepare()
    assert isinstance(ready, Ready)
    simulation.checkpoint = ready.checkpoint
    if ready.sends is None:
        away[0] = True
        _send(simulation)
    else:
        first, length = ready.sends
        sent = SentRange(media=media[0], first=first, length=length, folder=tmp_path, name="one")
        assert sent.copy() is (length > spool.IN_MEMORY)
        with sent.open() as opened:
            simulation.draft = replace(simulation.draft, media=(opened, *media[1:]))
            away[0] = True
            _send(simulation)
    simulation.run()
    assert (simulation.state, simulation.finalize_calls, simulation.errors) == (State.PUBLISHED, 1, [])
    assert len(environment.list_live(simulation.account)) == 1


def _send(simulation: DeliverySimulation) -> None:
    simulation.arm()
    simulation.apply(retry_policy.evaluate_finalize(simulation.finalize()))
