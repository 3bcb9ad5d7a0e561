"""Thumbnails of real and hostile files, made in a confined process: what comes out, and what is not believed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest
from PIL import Image

from adapters.contract import MediaFacts
from pipeline.domain.media_fitting import THUMBNAIL_BYTES, plan_thumbnail
from pipeline.media.fetch import Fetcher
from pipeline.media.probe import probe as probing
from pipeline.media.probe.containers import Kind, Malformed
from pipeline.media.probe.probe import ProbedMedia, probe
from pipeline.media.url_policy import Refused, Unanswered
from tests.pipeline.media import hostile_files, samples
from tests.pipeline.media.probe.test_conversion import RED, WHITE, is_near, write
from tests.pipeline.media.probe.test_probe_client import READY, run_instead
from tests.pipeline.media.servers import Answer, Handler, Site, file

BLACK = (0, 0, 0)
Size = tuple[int, int]


@pytest.fixture
def probed(site: Site, fetcher: Fetcher) -> Callable[..., ProbedMedia]:
    """A function that probes a file on the site."""

    def run(data: bytes | Answer, kind: Kind = "image") -> ProbedMedia:
        site.routes["/f"] = file(data) if isinstance(data, bytes) else data
        return probe(fetcher, f"{site.origin}/f", kind)

    return run


@pytest.fixture
def make(probed: Callable[..., ProbedMedia]) -> Callable[..., Image.Image]:
    """A function that makes a thumbnail, after asserting what is true of each."""

    def run(data: bytes | Answer, kind: Kind = "image") -> Image.Image:
        made = probed(data, kind).make_thumbnail()
        assert made is not None
        assert len(made) <= THUMBNAIL_BYTES
        image = Image.open(io.BytesIO(made))
        assert (image.format, image.mode, max(image.size) <= 256) == ("WEBP", "RGB", True)
        assert not dict(image.getexif())
        assert {"exif", "icc_profile", "xmp"}.isdisjoint(image.info)
        return image

    return run


def marked(size: Size) -> Image.Image:
    """Return a white picture whose first corner is red."""
    picture = Image.new("RGB", size, WHITE)
    picture.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return picture


def movie(frames: list[Image.Image], *, turned: int = 0, form: str = "mp4", **options: str) -> bytes:
    """Return a video of these pictures."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "movie"
        with av.open(str(path), "w", format=form) as container:
            stream: Any = container.add_stream("libx264", rate=30)
            to_frame: Any = av.VideoFrame.from_image
            stream.width, stream.height, stream.pix_fmt = (*frames[0].size, "yuv420p")
            stream.options = {"preset": "ultrafast", **options}
            if turned:
                stream.set_display_rotation(turned)
            for number, picture in enumerate(frames):
                frame = to_frame(picture)
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((1080, 1920), (144, 256)),
        ((1920, 1080), (256, 144)),
        ((1080, 1080), (256, 256)),
        ((4000, 200), (256, 12)),
        ((5000, 7), (256, 1)),
        ((256, 100), (256, 100)),
        ((64, 32), (64, 32)),
        ((1, 1), (1, 1)),
    ],
)
def test_an_image_is_fitted_and_never_enlarged(
    make: Callable[..., Image.Image], size: Size, fitted: Size
) -> None:
    image = make(samples.image("JPEG", size))
    assert image.size == fitted
    assert is_near(image.getpixel((0, 0)), RED)


@pytest.mark.parametrize(
    ("form", "orientation"),
    [*(("JPEG", turn) for turn in (1, 3, 6, 8)), ("PNG", 6), ("WEBP", 6), ("AVIF", 6)],
)
def test_the_orientation_is_applied_and_metadata_are_left_out(
    make: Callable[..., Image.Image], form: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A camera"
    image = make(write(marked((640, 320)), form, exif=exif))
    width, height = (128, 256) if orientation > 4 else (256, 128)
    corners = {1: (9, 9), 3: (width - 9, height - 9), 6: (width - 9, 9), 8: (9, height - 9)}
    assert image.size == (width, height)
    for name, corner in corners.items():
        assert is_near(image.getpixel(corner), RED if name == orientation else WHITE, 40), name


def test_what_is_transparent_becomes_white(make: Callable[..., Image.Image]) -> None:
    picture = Image.new("RGBA", (600, 600), (200, 30, 30, 0))
    picture.paste((200, 30, 30, 255), (0, 0, 300, 600))
    image = make(write(picture, "PNG"))
    assert is_near(image.getpixel((20, 128)), RED)
    assert is_near(image.getpixel((230, 128)), WHITE, 3)


def test_a_still_gif_and_a_jpeg_of_several_pictures_have_one(make: Callable[..., Image.Image]) -> None:
    assert make(samples.image("GIF", (640, 320))).size == (256, 128)
    assert is_near(make(samples.animation("MPO")).getpixel((30, 15)), (255, 0, 0))


def test_an_animation_is_refused_before(probed: Callable[..., ProbedMedia]) -> None:
    with pytest.raises(Refused, match="it is an animation"):
        probed(samples.animation("GIF"))


def test_a_format_without_a_decoder_has_none(probed: Callable[..., ProbedMedia], site: Site) -> None:
    assert probed(samples.heic(4032, 3024)).make_thumbnail() is None
    assert len(site.requests) == 1


def test_a_usual_picture_takes_a_few_kilobytes_and_noise_no_more_than_the_limit(
    probed: Callable[..., ProbedMedia], make: Callable[..., Image.Image]
) -> None:
    parts = [Image.radial_gradient("L").resize((1080, 1080)), Image.linear_gradient("L").resize((1080, 1080))]
    usual = Image.merge("RGB", [*parts, Image.effect_mandelbrot((1080, 1080), (-2, -1.5, 1, 1.5), 60)])
    made = probed(write(usual, "JPEG")).make_thumbnail()
    assert made is not None
    assert len(made) < 15_000
    noise = Image.merge("RGB", [Image.effect_noise((256, 256), 200) for _ in range(3)])
    assert make(write(noise, "PNG")).size == (256, 256)


@pytest.mark.parametrize("ranges", [True, False])
def test_what_the_check_has_read_is_not_read_again(
    probed: Callable[..., ProbedMedia], site: Site, ranges: bool
) -> None:
    media = probed(file(samples.image("JPEG", (2000, 1000)), ranges=ranges))
    before = (len(site.requests), site.sent)
    assert media.make_thumbnail()
    assert (len(site.requests), site.sent) == before


def test_a_large_image_is_read_on_with_a_budget_of_its_own(
    probed: Callable[..., ProbedMedia], site: Site
) -> None:
    media = probed(hostile_files.jpeg_with_segments(100))
    assert media.facts.bytes > 6_000_000
    before = len(site.requests)
    assert media.make_thumbnail()
    assert 0 < len(site.requests) - before <= 4


# --- videos ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("mp4", "libx264"),
        ("mp4", "libx265"),
        ("mov", "libx264"),
        ("webm", "libvpx-vp9"),
        ("matroska", "libx264"),
        ("avi", "mpeg4"),
    ],
)
def test_a_video_of_each_kind_has_a_frame(make: Callable[..., Image.Image], form: str, codec: str) -> None:
    assert make(samples.video(form, codec), "video").size == (256, 144)


@pytest.mark.parametrize(("form", "turned"), [*(("mp4", turn) for turn in (0, 90, 180, 270)), ("mov", 90)])
def test_a_frame_is_turned_as_players_show_it(
    make: Callable[..., Image.Image], form: str, turned: int
) -> None:
    image = make(movie([marked((320, 180))] * 3, turned=turned, form=form), "video")
    width, height = (144, 256) if turned in (90, 270) else (256, 144)
    corners = {0: (9, 9), 90: (9, height - 9), 180: (width - 9, height - 9), 270: (width - 9, 9)}
    assert image.size == (width, height)
    for name, corner in corners.items():
        assert is_near(image.getpixel(corner), RED if name == turned else WHITE, 40), name


def test_the_first_frame_with_contrast_is_taken(make: Callable[..., Image.Image]) -> None:
    black, blue = Image.new("RGB", (320, 180)), Image.new("RGB", (320, 180), (30, 30, 200))
    image = make(movie([black] * 20 + [marked((320, 180))] * 5 + [blue] * 5), "video")
    assert is_near(image.getpixel((9, 9)), RED, 40)
    assert is_near(make(movie([black] * 40), "video").getpixel((9, 9)), BLACK)


def test_a_frame_that_comes_late_is_not_searched_for(make: Callable[..., Image.Image]) -> None:
    black = Image.new("RGB", (320, 180))
    image = make(movie([black] * 100 + [marked((320, 180))] * 5), "video")
    assert is_near(image.getpixel((9, 9)), BLACK)


def test_frames_before_a_damaged_part_suffice(make: Callable[..., Image.Image]) -> None:
    data = bytearray(movie([marked((320, 180))] * 30, g="1", bf="0"))
    start = data.index(b"mdat") + 4
    data[start + (len(data) - start) // 2 : start + (len(data) - start) // 2 + 2000] = bytes(2000)
    assert is_near(make(bytes(data), "video").getpixel((9, 9)), RED, 40)


def test_4k_fits_the_memory(make: Callable[..., Image.Image]) -> None:
    assert make(movie([marked((3840, 2160))] * 2, bf="3", refs="4"), "video").size == (256, 144)


# --- hostile files ---------------------------------------------------------------------------------------------------


def _without_media(data: bytes) -> bytes:
    """Return the MP4 with zeros in place of its pictures, and a valid index."""
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    return data[:start] + bytes(end - start) + data[end:]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (samples.image("PNG", (900, 900))[:200], "image"),
        (samples.image("JPEG", (900, 900))[:700], "image"),
        (hostile_files.webp(8000, 8000), "image"),
        (_without_media(samples.video()), "video"),
    ],
    ids=["png", "jpeg", "webp", "video"],
)
def test_a_file_that_is_damaged_behind_its_header_has_none(
    probed: Callable[..., ProbedMedia], data: bytes, kind: Kind
) -> None:
    media = probed(data, kind)
    assert media.facts.width
    with pytest.raises(Refused):
        media.make_thumbnail()


def test_a_file_that_needs_too_much_has_none(probed: Callable[..., ProbedMedia]) -> None:
    """Pillow would take 256 MB for its pixels, which a check only counts."""
    media = probed(samples.bomb(8000))
    assert media.facts.width == 8000
    with pytest.raises(Refused, match="too much memory or time"):
        media.make_thumbnail()


def test_media_that_an_mp4_says_are_elsewhere_are_not_fetched(
    probed: Callable[..., ProbedMedia], site: Site
) -> None:
    site.routes["/secret"] = file(samples.video())
    media = probed(samples.with_outside_data(samples.video(), f"{site.origin}/secret"), "video")
    assert media.make_thumbnail(), "FFmpeg reads the file itself instead"
    assert set(site.paths()) == {"/f"}


def test_a_file_that_changed_since_its_check_has_none(probed: Callable[..., ProbedMedia], site: Site) -> None:
    data = write(Image.effect_noise((1200, 900), 100), "PNG")

    def changing(handler: Handler) -> None:
        file(data, ETag=f'"{len(site.requests)}"')(handler)

    with pytest.raises(Unanswered, match="changed while"):
        probed(changing).make_thumbnail()


WEBP = hostile_files.webp


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (b"x" * (THUMBNAIL_BYTES + 1), Refused),
        (b"<script>", Malformed),
        (b"\xff\xd8\xff" + bytes(100), Malformed),
        (b"", Malformed),
        (samples.webp((257, 10)), Malformed),
        (WEBP(16_383, 16_383), Malformed),
        (samples.webp((100, 100), exif=b"Exif\0\0A camera"), Malformed),
        (samples.animation("WEBP"), Malformed),
        (b"JUNK" + samples.webp((100, 100))[4:], Malformed),
    ],
    ids=["too much", "script", "jpeg", "nothing", "wide", "canvas", "metadata", "animation", "no riff"],
)
def test_a_process_that_is_taken_over_is_not_believed(
    probed: Callable[..., ProbedMedia],
    monkeypatch: pytest.MonkeyPatch,
    output: bytes,
    error: type[Exception],
) -> None:
    media = probed(samples.image("PNG", (640, 320)))
    sends = f"output = {output!r}\nos.write(1, REQUEST.pack(b'O', 0, len(output)) + output)\n"
    answers = "os.write(1, REQUEST.pack(b'A', 0, 2) + b'{}')\nos.read(0, 1)\n"
    run_instead(monkeypatch, f"os.read(0, 65536)\n{READY}{sends}{answers}")
    with pytest.raises(error):
        media.make_thumbnail()


def test_one_that_sends_on_and_on_or_never_ends_is_killed(
    probed: Callable[..., ProbedMedia], monkeypatch: pytest.MonkeyPatch
) -> None:
    media = probed(samples.image("PNG", (640, 320)))
    good = samples.webp((100, 50))
    sends = f"output = {good!r}\nwhile True: os.write(1, REQUEST.pack(b'O', 0, len(output)) + output)\n"
    run_instead(monkeypatch, f"os.read(0, 65536)\n{READY}{sends}")
    with pytest.raises(Refused, match="made no WEBP"):
        media.make_thumbnail()
    monkeypatch.setattr(probing, "THUMBNAIL_SECONDS", 0.3)
    run_instead(monkeypatch, f"os.read(0, 65536)\n{READY}time.sleep(3600)")
    with pytest.raises(Unanswered):
        media.make_thumbnail()


def test_a_file_of_unknown_size_has_no_plan() -> None:
    assert plan_thumbnail(MediaFacts(content_type="image/heic", bytes=9)) is None
