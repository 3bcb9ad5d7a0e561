"""A preview cuts, crops and marks as the platform and its conversion do."""

from __future__ import annotations

from adapters.contract import MediaFacts, Platform
from pipeline.dashboard.preview import KnownFile, Piece, build_preview
from pipeline.runtime.context import Context
from pipeline.stages.post_request import PostContent

WIDE = KnownFile(
    address="/files/a.png", facts=MediaFacts(content_type="image/png", bytes=9000, width=3000, height=1000)
)


def test_a_preview_is_what_the_platform_shows(context: Context) -> None:
    words = "Giveaway! #fjord at https://example.com/a " + "and more of it " * 20
    media = {"type": "slideshow", "urls": ["https://example.com/a.png"], "fit": "crop"}
    content = PostContent(caption=words, media=media, first_comment="Rules apply.")
    found = build_preview(context, Platform.INSTAGRAM, "fjord", content, {0: WIDE})
    [frame] = found.frames
    assert (frame.crop, frame.canvas, frame.scaled) == ((1910, 1000), (1440, 753), (1440, 753))
    assert frame.cut == (545, 0)
    assert "".join(piece.text for piece in (*found.shown, *found.folded)) == words
    assert len("".join(piece.text for piece in found.shown)) <= 125
    assert Piece(text="#fjord", kind="hashtag") in found.shown
    assert not [piece for piece in found.shown if piece.kind == "link"]  # Instagram leaves addresses plain
    assert found.notes[0].startswith("Cut after")
    assert "1910 x 1000 of 3000 x 1000" in found.notes[1]
    padded = PostContent(caption=words, media={**media, "fit": "pad"})
    [frame] = build_preview(context, Platform.INSTAGRAM, "fjord", padded, {0: WIDE}).frames
    assert frame.corner[1] > 0 == frame.corner[0]
    assert frame.crop == frame.source
    on_facebook = build_preview(context, Platform.FACEBOOK, "fjord", content, {0: WIDE})
    assert Piece(text="https://example.com/a", kind="link") in on_facebook.shown
    assert on_facebook.frames[0].crop == (3000, 1000)
    story = PostContent(caption=words, media=media, options={Platform.INSTAGRAM: {"placement": "story"}})
    assert build_preview(context, Platform.INSTAGRAM, "fjord", story, {0: WIDE}).words.text == ""
