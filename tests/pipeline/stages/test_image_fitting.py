"""What a client is told of images that do not fit: converted with a warning, or refused with what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change, EditResult
from pipeline.actions.validate import validate
from pipeline.stages.post_request import Refusal
from tests.pipeline.core_fixture import GOOD_VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR

URL, TALL = "https://media.example/picture", "https://media.example/tall"
Facts = dict[str, Any]


def facts(kind: str, width: int, height: int, size: int = 400_000) -> Facts:
    return {"content_type": f"image/{kind}", "bytes": size, "width": width, "height": height}


def ask(core: CoreFixture, found: Facts, *platforms: Platform, **media: Any) -> dict[str, Any]:
    """Return the fields of a request for one image, whose check is decided."""
    core.decided(URL, "image", facts=found)
    return {
        "media": {"type": "slideshow", "urls": [URL], **media},
        "account_ids": [core.account(name, name) for name in platforms],
    }


@pytest.fixture
def public(core: CoreFixture) -> CoreFixture:
    """A core whose server has a public URL."""
    return core.with_settings(api={"public_url": "https://posts.example"})


def test_the_answer_warns_of_each_account_from_what_to_what(public: CoreFixture) -> None:
    given = ask(public, facts("png", 2160, 2700), Platform.TIKTOK, Platform.INSTAGRAM)
    warned = [w for w in public.accept(**given).warnings if w.code == "MEDIA_CONVERTED"]
    assert [w.field for w in warned] == ["media.urls[0]"] * 2
    said = " ".join(w.message for w in warned)
    for name, size in (("tiktok", "1080 x 1350"), ("instagram", "1440 x 1800")):
        assert f"{name} account" in said
        assert str(public.accounts[name]) in said
        assert f"from image/png of 2160 x 2700 and 400,000 bytes to image/jpeg of {size}" in said


def test_validate_says_the_same_by_account(public: CoreFixture) -> None:
    given = ask(public, facts("webp", 1000, 1000), *(p for p in Platform if p is not Platform.YOUTUBE))
    result = validate(public.context, public.caller, public.request(**given))
    assert [r for r in result.refused if r.field.startswith("media")] == []
    told = {w.account.platform: w for w in result.warnings if w.code == "MEDIA_CONVERTED" and w.account}
    assert set(told) == {Platform.INSTAGRAM, Platform.PINTEREST, Platform.LINKEDIN, Platform.FACEBOOK}
    assert all((w.limit, w.found) == ("1000 x 1000", "1000 x 1000") for w in told.values())


def test_a_refused_shape_is_400_with_the_exact_remedy_and_accepted_with_it(public: CoreFixture) -> None:
    given = ask(public, facts("png", 900, 1600), Platform.INSTAGRAM)
    refusal = public.refused(**given)
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert "0.75 to 1.91 width:height; this one has 0.562" in refusal.message
    assert (
        'media.fit "pad" (white borders, 1280 x 1600) or "crop" (edges cut off, 900 x 1125)'
        in refusal.message
    )
    assert "image/png" not in refusal.message, "the type would be converted"
    for fit, said in (
        ("pad", "1280 x 1600, with white borders"),
        ("crop", "900 x 1125, with its edges cut off"),
    ):
        accepted = public.accept(**{**given, "media": {**given["media"], "fit": fit}})
        [warning] = [w for w in accepted.warnings if w.code == "MEDIA_CONVERTED"]
        assert said in warning.message


def test_an_edit_may_ask_for_fitting(public: CoreFixture) -> None:
    post = public.accept(
        **ask(public, facts("jpeg", 1080, 1350), Platform.INSTAGRAM), scheduled_at=public.now() + HOUR
    )
    public.decided(TALL, "image", facts=facts("jpeg", 900, 1600))
    media = {"type": "slideshow", "urls": [TALL]}

    def change(**more: str) -> EditResult:
        asked = Change(given=frozenset({"media"}), media={**media, **more})
        return edit(public.context, public.caller, post.id, asked, None)

    with pytest.raises(Refusal, match=r'media\.fit "pad"'):
        change()
    assert [w.code for w in change(fit="crop").warnings] == ["MEDIA_CONVERTED"]


def test_a_shape_that_only_third_parties_report_is_sent_with_a_warning(public: CoreFixture) -> None:
    accepted = public.accept(**ask(public, facts("jpeg", 1080, 1440), Platform.INSTAGRAM))
    assert [w.code for w in accepted.warnings] == ["RATIO_NOT_DOCUMENTED"]


def test_where_the_platform_pulls_and_no_public_url_is_set_400_says_so(core: CoreFixture) -> None:
    core = core.with_settings(sandbox={"url": ""})
    refusal = core.refused(**ask(core, facts("png", 1000, 1000), Platform.INSTAGRAM))
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert "fetches images from their URLs" in refusal.message
    assert "SLIPWAY_API__PUBLIC_URL" in refusal.message
    linkedin = core.request(**ask(core, facts("webp", 1000, 1000), Platform.LINKEDIN))
    found = validate(core.context, core.caller, linkedin)
    assert [r for r in found.refused if r.field.startswith("media")] == [], "LinkedIn gets bytes"
    assert "MEDIA_CONVERTED" in {w.code for w in found.warnings}


def test_a_refused_video_says_what_to_re_encode(core: CoreFixture) -> None:
    core.decided(facts={**GOOD_VIDEO, "codec": "vp9", "fps": 120.0})
    core.account("one", Platform.INSTAGRAM)
    message = core.refused().message
    assert message.count("Re-encode this one: codec h264 or hevc instead of vp9; frame rate 23 to 60") == 1


def test_an_address_of_a_file_that_is_converted_is_judged_and_not_the_clients(core: CoreFixture) -> None:
    bare = core.with_settings(api={"public_url": "https://203.0.113.9"})
    addresses = replace(bare.context.files.addresses, public="https://203.0.113.9")
    bare = replace(
        bare, context=replace(bare.context, files=replace(bare.context.files, addresses=addresses))
    )
    assert "bare IP address" in bare.refused(**ask(bare, facts("png", 1000, 1000), Platform.TIKTOK)).message
