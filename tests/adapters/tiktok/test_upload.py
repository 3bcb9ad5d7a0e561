"""Chunks of an upload are valid in both readings of "MB", and its checkpoint survives JSON."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.limit import count_utf16_units, cut_text
from adapters.tiktok.checkpoint import Checkpoint, Upload, UploadPlan, UrlState
from tests.adapters.drafts import through_json

MB10, MB2 = 10**6, 2**20


@given(st.integers(min_value=1, max_value=4096 * MB2))
def test_every_size_is_cut_as_tiktok_wants_it(size: int) -> None:
    plan = UploadPlan.for_size(size)
    last = size - (plan.chunks - 1) * plan.chunk_size
    assert plan.chunks == size // plan.chunk_size
    assert 1 <= plan.chunks <= 1000
    assert last >= plan.chunk_size
    assert (
        last < 2 * 5 * MB2 or last <= plan.chunk_size + plan.chunks
    )  # at most a few bytes larger than the others
    if plan.chunks == 1:
        assert plan.chunk_size == size <= 64 * MB10
    else:
        assert 5 * MB2 <= plan.chunk_size <= 64 * MB10
        assert last <= 128 * MB10


def test_the_vendors_own_example_has_as_many_chunks() -> None:
    assert UploadPlan.for_size(50_000_123).chunks == 5


@given(st.integers(min_value=1, max_value=200 * MB10), st.data())
def test_spans_cover_the_file_in_order(size: int, data: st.DataObject) -> None:
    plan = UploadPlan.for_size(size)
    offset = data.draw(st.integers(min_value=0, max_value=size - 1))
    upload = Upload(publish_id="p", upload_url="u", url_expires_at=0, plan=plan, offset=offset)
    first, end = upload.get_next_range()
    assert first == offset < end <= size
    assert end == size or end % plan.chunk_size == 0
    assert (end == size) is (offset >= upload.last_chunk_start)


def test_a_complete_upload_would_send_its_last_chunk_again() -> None:
    plan = UploadPlan.for_size(25_000_001)
    upload = Upload(publish_id="p", upload_url="u", url_expires_at=0, plan=plan, offset=25_000_001)
    assert upload.get_next_range() == (12_500_000, 25_000_001)


def test_a_upload_goes_through_the_checkpoint() -> None:
    upload = Upload.start(
        "p", "https://upload.example/?upload_token=Xza123", UploadPlan.for_size(25_000_001), 1000.0
    )
    state = Checkpoint(upload=upload)
    assert Checkpoint.model_validate(through_json(state.to_dict())) == state
    assert Checkpoint.model_validate({}).upload is None
    assert "Xza123" not in repr(upload) + repr(state)


def test_the_life_of_an_upload_url() -> None:
    upload = Upload.start("p", "u", UploadPlan.for_size(1), 0.0)
    lives = {at: upload.get_url_state(at) for at in (0.0, 3479.0, 3480.0, 3900.0, 3901.0)}
    assert list(lives.values()) == [
        UrlState.ALIVE,
        UrlState.ALIVE,
        UrlState.EXPIRING,
        UrlState.EXPIRING,
        UrlState.DEAD,
    ]
    assert upload.can_finish(3539.0)
    assert not upload.can_finish(3540.0)


@given(st.text(), st.integers(min_value=0, max_value=50))
def test_a_cut_text_fits_and_is_a_beginning(text: str, limit: int) -> None:
    short = cut_text(text, limit)
    assert count_utf16_units(short) <= limit
    assert text.startswith(short)
    assert short == text or count_utf16_units(text) > limit


def test_words_stay_whole_where_there_are_any() -> None:
    assert cut_text("one two three", 9) == "one two"
    assert cut_text("one two three", 7) == "one two"
    assert cut_text("onetwothree", 5) == "onetw"
    assert cut_text(" onetwothree", 5) == " onet"
    assert cut_text("🐈🐈", 3) == "🐈"
