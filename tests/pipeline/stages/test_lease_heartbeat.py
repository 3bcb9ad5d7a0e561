"""The lease heartbeat: a lease is extended while the bytes of an upload move, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.contract import Draft, Media
from adapters.errors import Unavailable
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.stages.deadline import Heartbeat, _wrap_stream, beat_while_reading, build_heartbeat
from pipeline.stages.drafts import build_draft
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Ledger
from tests.slow_media import SIZE, serve_slow_media

PIECES = [b"ab", b"cd", b"ef"]


def source(_first: int, _length: int) -> Iterator[bytes]:
    yield from PIECES


MEDIA = Media(url="https://media.example/v.mp4", kind="video", stream=source)
DRAFT = Draft(delivery_id="d", caption="c", kind="video", media=(MEDIA,))


def reading(media: Media) -> Iterator[bytes]:
    assert media.stream is not None
    return media.stream(0, 6)


def beat_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every moment is time for a beat."""
    monkeypatch.setattr("pipeline.stages.deadline.BEATS_PER_LEASE", 1e12)


def test_a_heart_beats_when_it_is_asked_to_and_time_has_passed() -> None:
    beats: list[int] = []
    eager, lazy = (Heartbeat(extend=lambda: beats.append(1), every=every) for every in (0, 3600))
    assert list(reading(_wrap_stream(eager, MEDIA))) == PIECES
    assert len(beats) == len(PIECES)
    assert list(reading(_wrap_stream(lazy, MEDIA))) == PIECES
    assert len(beats) == len(PIECES), "an upload that is done soon asks the database nothing"


def test_media_without_a_way_to_its_bytes_stay_as_they_are(core: CoreFixture, ledger: Ledger) -> None:
    claimed = ledger.claimed(ledger.post([core.account("one")]))
    bare = Draft(delivery_id="d", caption="c", kind="video", media=(Media(url="u", kind="video"),))
    assert beat_while_reading(build_heartbeat(core.context, claimed), bare) == bare


def test_an_upload_keeps_its_claim_while_bytes_move(
    core: CoreFixture, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_always(monkeypatch)
    claimed = ledger.claimed(ledger.post([core.account("one")]))
    lease = timedelta(seconds=core.context.settings.publish.lease)
    ledger.change(claimed.id, "lease_until = now() + interval '1 s'")
    upload = reading(beat_while_reading(build_heartbeat(core.context, claimed), DRAFT).media[0])
    next(upload)
    left = ledger.delivery(claimed.id).lease_until - claimed.now
    assert left >= lease, "written anew, from now"

    ledger.change(claimed.id, "fence = fence + 1")
    with pytest.raises(Unavailable) as lost:
        next(upload)
    assert lost.value.code == "claim_lost"


def test_an_upload_keeps_its_claim_while_it_waits_for_a_slow_source(
    core: CoreFixture, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_always(monkeypatch)
    monkeypatch.setattr("pipeline.media.guarded_http.WATCH_INTERVAL", 0.02)
    monkeypatch.setattr("pipeline.media.relay.SUSPECT_AFTER", 0.05)
    monkeypatch.setattr("pipeline.media.relay.WINDOW", 0.5)
    claimed = ledger.claimed(ledger.post([core.account("one")]))
    ledger.change(claimed.id, "lease_until = now() + interval '20 s'")
    with serve_slow_media() as slow:
        fetcher = Fetcher(FetchPolicy(allowed_origins=frozenset({slow.origin})))
        context = replace(core.context, files=replace(core.context.files, fetcher=fetcher))
        media = {"type": "video", "url": slow.create_later_slow_url(bytes(SIZE))}
        draft = build_draft(
            context,
            replace(claimed, media=media, facts={"0": {"content_type": "video/mp4", "bytes": SIZE}}),
            build_heartbeat(context, claimed).beat_if_due,
        )
        with pytest.raises(Unavailable, match="less than 64 KiB per second"):
            next(reading(draft.media[0]))
    left = ledger.delivery(claimed.id).lease_until - claimed.now
    assert left >= timedelta(seconds=context.settings.publish.lease), "extended, though no piece was complete"
