"""Probing over a real web server: facts of real files, how little of them is read, and hostile files."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from adapters.contract import MediaFacts
from pipeline.media.fetch import Fetcher
from pipeline.media.probe.containers import Kind, sniff
from pipeline.media.probe.probe import probe
from pipeline.media.probe.range_source import ProbeLimits
from pipeline.media.url_policy import Refused, Unanswered
from tests.pipeline.media import hostile_files, samples
from tests.pipeline.media.servers import Answer, Handler, Site, drip, endless, file


def _probe(site: Site, fetcher: Fetcher, answer: Answer, expected: Kind) -> MediaFacts:
    site.routes["/f.mp4"] = answer
    return probe(fetcher, f"{site.origin}/f.mp4", expected).facts


# --- real files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "codec", "content_type", "named"),
    [
        ("mp4", "libx264", "video/mp4", "h264"),
        ("mp4", "libx265", "video/mp4", "hevc"),
        ("mov", "libx264", "video/quicktime", "h264"),
        ("ipod", "libx264", "video/x-m4v", "h264"),
        ("webm", "libvpx-vp9", "video/webm", "vp9"),
        ("matroska", "libx264", "video/x-matroska", "h264"),
        ("avi", "mpeg4", "video/x-msvideo", "mpeg4"),
    ],
)
def test_videos(site: Site, fetcher: Fetcher, form: str, codec: str, content_type: str, named: str) -> None:
    data = samples.video(form, codec)
    facts = _probe(site, fetcher, file(data, ETag='"v1"'), "video")
    assert (facts.content_type, facts.bytes, facts.etag) == (content_type, len(data), '"v1"')
    assert (facts.width, facts.height, facts.codec) == (320, 180, named)
    assert facts.duration == pytest.approx(30 * 1001 / 30000, abs=0.001)
    assert facts.fps == pytest.approx(30000 / 1001)


@pytest.mark.parametrize(("turned", "shown"), [(90, (180, 320)), (270, (180, 320)), (180, (320, 180))])
def test_a_turned_video_is_measured_as_it_is_shown(
    site: Site, fetcher: Fetcher, turned: int, shown: tuple[int, int]
) -> None:
    facts = _probe(site, fetcher, file(samples.video(turned=turned)), "video")
    assert (facts.width, facts.height) == shown


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_images(site: Site, fetcher: Fetcher, form: str, orientation: int) -> None:
    data = samples.image(form, orientation=orientation)
    facts = _probe(site, fetcher, file(data), "image")
    turned = orientation == 6 and form != "GIF"  # GIF has no such thing
    shown = (32, 64) if turned else (64, 32)
    assert (facts.content_type, facts.bytes) == (f"image/{form.lower()}", len(data))
    assert (facts.width, facts.height, facts.duration, facts.etag) == (*shown, None, None)


@pytest.mark.parametrize(
    "options",
    [{"quality": 1}, {"lossless": True}, {"quality": 1, "exif": b"Exif\0\0"}],
    ids=["lossy", "lossless", "extended"],
)
def test_a_webp_of_each_form_is_measured_up_to_the_bound_of_pixels(
    site: Site, fetcher: Fetcher, options: dict[str, Any]
) -> None:
    for size in ((1, 1), (2600, 1700)):
        facts = _probe(site, fetcher, file(samples.webp(size, method=0, **options)), "image")
        assert (facts.content_type, facts.width, facts.height) == ("image/webp", *size)
    largest = _probe(site, fetcher, file(hostile_files.webp(8192, 8192)), "image")
    assert (largest.width, largest.height) == (8192, 8192)
    with pytest.raises(Refused, match="pixels"):
        _probe(site, fetcher, file(hostile_files.webp(8193, 8192)), "image")


@pytest.mark.parametrize("options", [{"quality": 1}, {"lossless": True}, {"quality": 1, "exif": b"Exif\0\0"}])
def test_a_webp_that_is_cut_short_or_has_no_picture_is_damaged(
    site: Site, fetcher: Fetcher, options: dict[str, Any]
) -> None:
    data = samples.webp((300, 200), **options)
    for length in (12, 19, 25, len(data) // 2, len(data) - 2):
        with pytest.raises(Refused, match="it is damaged"):
            _probe(site, fetcher, file(data[:length]), "image")
    headless = data.replace(b"VP8 ", b"JUNK").replace(b"VP8L", b"JUNK")
    with pytest.raises(Refused, match="it is damaged"):
        _probe(site, fetcher, file(headless), "image")


def test_a_jpeg_in_the_colours_of_print_is_known_as_one(site: Site, fetcher: Fetcher) -> None:
    out = io.BytesIO()
    Image.new("CMYK", (40, 20)).save(out, "JPEG")
    assert _probe(site, fetcher, file(out.getvalue()), "image").codec == "cmyk"
    assert _probe(site, fetcher, file(samples.image("JPEG")), "image").codec is None


def test_an_orientation_behind_the_pixels_of_a_png_does_not_count(site: Site, fetcher: Fetcher) -> None:
    facts = _probe(site, fetcher, file(samples.png_with_late_exif((64, 32), 6)), "image")
    assert (facts.width, facts.height) == (64, 32)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_is_refused_with_the_remedy(site: Site, fetcher: Fetcher, form: str) -> None:
    with pytest.raises(Refused, match="send a still image, or the animation as a video"):
        _probe(site, fetcher, file(samples.animation(form)), "image")


def test_a_jpeg_of_several_pictures_is_none(site: Site, fetcher: Fetcher) -> None:
    assert _probe(site, fetcher, file(samples.animation("MPO")), "image").content_type == "image/jpeg"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_whose_hash_is_needed_is_read_whole(site: Site, fetcher: Fetcher, ranges: bool) -> None:
    data = samples.image("PNG", (64, 32)) + bytes(9_000_000)
    site.routes["/f.png"] = file(data, ranges=ranges)
    asked: list[MediaFacts] = []

    def needs_hash(facts: MediaFacts) -> bool:
        asked.append(facts)
        return True

    facts = probe(fetcher, f"{site.origin}/f.png", "image", needs_hash=needs_hash).facts
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert [(one.bytes, one.sha256) for one in asked] == [(len(data), None)]


@pytest.mark.parametrize(("turns", "shown"), [(0, (4032, 3024)), (1, (3024, 4032)), (2, (4032, 3024))])
def test_heic_sizes_are_those_of_the_primary_image(
    site: Site, fetcher: Fetcher, turns: int, shown: tuple[int, int]
) -> None:
    facts = _probe(site, fetcher, file(samples.heic(4032, 3024, quarter_turns=turns)), "image")
    assert (facts.content_type, facts.width, facts.height) == ("image/heic", *shown)


@pytest.mark.parametrize("movflags", ["", "faststart", "frag_keyframe+empty_moov"])
def test_a_large_video_is_told_by_a_few_ranges(site: Site, fetcher: Fetcher, movflags: str) -> None:
    data = samples.video(noisy=True, frames=300, movflags=movflags)
    assert len(data) > 20_000_000
    facts = _probe(site, fetcher, file(data), "video")
    assert facts.bytes == len(data)
    assert facts.duration == pytest.approx(300 * 1001 / 30000, abs=0.1)
    assert len(site.requests) <= 6


@pytest.mark.parametrize("movflags", ["", "faststart"])
def test_a_video_from_a_server_without_ranges(site: Site, fetcher: Fetcher, movflags: str) -> None:
    data = samples.video(noisy=True, frames=300, movflags=movflags)
    facts = _probe(site, fetcher, file(data, ranges=False), "video")
    assert (facts.bytes, facts.width) == (len(data), 320)
    assert len(site.requests) <= 6


def test_a_file_of_untold_size_is_measured_by_reading_it(site: Site, fetcher: Fetcher) -> None:
    data = samples.image("JPEG")

    def unsized(handler: Handler) -> None:
        handler.head(200, Content_Type="image/jpeg")
        handler.put(data)

    assert _probe(site, fetcher, unsized, "image").bytes == len(data)


@pytest.mark.parametrize("served", ["application/octet-stream", "text/plain", "image/png", "audio/mpeg", ""])
def test_the_bytes_win_over_the_served_type(site: Site, fetcher: Fetcher, served: str) -> None:
    assert _probe(site, fetcher, file(samples.video(), served), "video").content_type == "video/mp4"


# --- what is refused ------------------------------------------------------------------------------------------------

HTML = b"<!doctype html><title>Sign in</title>"


@pytest.mark.parametrize(
    ("data", "served", "expected", "reason"),
    [
        (HTML, "text/html", "video", "content type text/html, not a video"),
        (HTML, "text/html; charset=utf-8", "image", "content type text/html, not an image"),
        (HTML, "video/mp4", "video", "content type video/mp4, and the bytes are not those of a video"),
        (HTML, "<script>", "video", "no content type, and the bytes"),
        (b"%!PS", "application/postscript", "image", "content type application/postscript, and the bytes"),
        (b"ID3\x04", "audio/mpeg", "video", "content type audio/mpeg, and the bytes"),
        (b"", "video/mp4", "video", "the file is empty"),
        (samples.image("JPEG"), "video/mp4", "video", r"it is an image \(image/jpeg\), not a video"),
        (samples.video(), "video/mp4", "image", r"it is a video \(video/mp4\), not an image"),
        (samples.bomb(), "image/png", "image", "it has 3,600,000,000 pixels, and at most 67,108,864 are"),
        (samples.video()[:-500], "video/mp4", "video", "the file ends before"),
        (samples.video(movflags="faststart")[:-500], "video/mp4", "video", "the file ends before"),
        (samples.video()[:1000], "video/mp4", "video", "the file ends before"),
        (b"\0\0\0\x18ftypmp42" + bytes(5000), "video/mp4", "video", "it is damaged, or not really video/mp4"),
        (b"\xff\xd8\xff" + bytes(5000), "image/jpeg", "image", "it is damaged, or not really image/jpeg"),
        (b"\x1aE\xdf\xa3" + bytes(5000), "video/webm", "video", "it is damaged"),
        (b"RIFF\0\0\0\0AVI " + bytes(5000), "video/x-msvideo", "video", "it is damaged"),
        (b"RIFF\0\0\0\0WEBP" + bytes(5000), "image/webp", "image", "it is damaged"),
    ],
)
def test_what_will_not_do_is_refused(
    site: Site, fetcher: Fetcher, data: bytes, served: str, expected: Kind, reason: str
) -> None:
    with pytest.raises(Refused, match=f"^{reason}"):
        _probe(site, fetcher, file(data, served), expected)


def test_sound_without_pictures_is_no_video(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Refused, match="no video in it"):
        _probe(site, fetcher, file(samples.sound()), "video")


def test_a_missing_file_keeps_its_status(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Refused, match=r"^HTTP 404$") as refused:
        probe(fetcher, f"{site.origin}/none", "video")
    assert refused.value.status == 404


# --- what would make us fetch something else ------------------------------------------------------------------------


HLS = "application/vnd.apple.mpegurl"


@pytest.mark.parametrize(
    ("text", "served"),
    [
        ("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}/secret\n#EXT-X-ENDLIST\n", HLS),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}/secret.m3u8\n", HLS),
        ("ffconcat version 1.0\nfile {}/secret\n", HLS),
        (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}/secret</BaseURL></MPD>',
            HLS,
        ),
        ("[playlist]\nFile1={}/secret\n", HLS),
        ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\na=control:{}/secret\n", HLS),
        ("#EXTM3U\n#EXTINF:5,\n{}/secret\n", "video/mp4"),
        ("#EXTM3U\n#EXTINF:5,\n{}/secret\n", ""),
    ],
)
def test_playlists_fetch_nothing(site: Site, fetcher: Fetcher, text: str, served: str) -> None:
    site.routes["/secret"] = file(samples.video())
    with pytest.raises(Refused):
        _probe(site, fetcher, file(text.format(site.origin).encode(), served), "video")
    assert set(site.paths()) == {"/f.mp4"}


def test_media_that_an_mp4_says_are_elsewhere_are_not_fetched(site: Site, fetcher: Fetcher) -> None:
    site.routes["/secret"] = file(samples.video())
    data = samples.with_outside_data(samples.video(), f"{site.origin}/secret")
    assert f"{site.origin}/secret".encode() in data
    facts = _probe(site, fetcher, file(data), "video")
    assert (facts.width, set(site.paths())) == (320, {"/f.mp4"})


# --- patience -------------------------------------------------------------------------------------------------------


def test_a_file_that_changes_under_our_eyes_is_unanswered(site: Site, fetcher: Fetcher) -> None:
    data = samples.video(noisy=True, frames=300)

    def changing(handler: Handler) -> None:
        file(data, ETag=f'"{len(site.requests)}"')(handler)

    with pytest.raises(Unanswered, match="changed while"):
        _probe(site, fetcher, changing, "video")


def test_a_source_that_stalls_in_the_middle_is_unanswered(site: Site, fetcher: Fetcher) -> None:
    data = samples.video(noisy=True, frames=300)
    stalled = drip(b"")

    def stalling(handler: Handler) -> None:
        (file(data) if len(site.requests) == 1 else stalled)(handler)

    site.routes["/f"] = stalling
    with pytest.raises(Unanswered):
        probe(fetcher, f"{site.origin}/f", "video", limits=ProbeLimits(seconds=2))


def test_no_more_than_patience_allows_is_read(site: Site, fetcher: Fetcher) -> None:
    site.routes |= {"/f": file(samples.video(noisy=True, frames=300)), "/endless": endless}
    with pytest.raises(Refused, match="more than 1 reads"):
        probe(fetcher, f"{site.origin}/f", "video", limits=ProbeLimits(requests=1))
    site.routes["/a"] = file(
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(3_000_000)
    )  # Pillow reads all of it
    with pytest.raises(Refused, match="more than 1 MiB"):
        probe(fetcher, f"{site.origin}/a", "image", limits=ProbeLimits(bytes=1 << 20))
    with pytest.raises(Refused, match="does not send its size"):
        probe(fetcher, f"{site.origin}/endless", "video", limits=ProbeLimits(unranged_bytes=1 << 20))


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "image/avif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heicmif1", "image/heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "image/heif"),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0hevcmsf1", "image/heif"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avifmif1", "image/avif"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", "video/quicktime"),
        (b"\0\0\0\x14ftyp3gp5\0\0\0\0", "video/mp4"),
        (b"GIF87a", "image/gif"),
        (b"BM", None),
        (b"", None),
        (b"#EXTM3U", None),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, content_type: str | None) -> None:
    found = sniff(head)
    assert (found and found.content_type) == content_type
