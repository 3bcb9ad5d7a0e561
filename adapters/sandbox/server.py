"""The server process of the sandbox: two listeners, until SIGTERM or SIGINT.

The table of fake platforms. A new platform is a line here and a module or package of its own.

Sample media: small files that every platform accepts, and some that platforms refuse.
"""

import asyncio
import errno
import fcntl
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import av
from aiohttp import web
from PIL import Image, ImageDraw

from adapters.sandbox import facebook, instagram, linkedin, pinterest, tiktok, tiktok_business, youtube
from adapters.sandbox.context import SandboxContext, SandboxSettings
from adapters.sandbox.control import mount_control
from adapters.sandbox.media_host import make_media_app

_SIZE = (540, 960)
_PORTRAIT = (1080, 1350)
_RATE = 30
_SECONDS = 5
_SMALL_BYTES = 100_000
"""LinkedIn accepts no video below 75 KB."""
_LARGE_BYTES = 12_000_000
_IMAGES = 5
_PAGES = 3
_COLOURS = ((214, 40, 57), (39, 125, 161), (87, 117, 144), (249, 199, 79), (67, 170, 139))


def make_samples(folder: Path) -> None:
    """Create the samples that are missing in `folder`; existing files stay unchanged."""
    makers: dict[str, Callable[[Path], None]] = {
        "sample.mp4": write_video,
        "sample-large.mp4": _write_large_video,
        "wide.jpg": lambda path: _draw_image(1, (2000, 200)).save(path, "JPEG"),
        "sample.pdf": _write_document,
        "picture.png": lambda path: _draw_image(2, _PORTRAIT).save(path, "PNG"),
    }
    makers |= {f"sample-{number}.jpg": partial(_write_image, number) for number in range(1, _IMAGES + 1)}
    for name, make in makers.items():
        _make_missing(folder / name, make)


def _make_missing(path: Path, make: Callable[[Path], None]) -> None:
    if not path.exists():
        part = path.with_name(f".{path.name}.part")
        make(part)
        part.replace(path)


def _draw_image(number: int, size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, _COLOURS[number % len(_COLOURS)])
    draw = ImageDraw.Draw(image)
    draw.ellipse(
        (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), fill=_COLOURS[(number + 2) % 5]
    )
    draw.text((20, 20), f"Slipway sample {number}", fill="white", font_size=max(12, size[0] // 16))
    return image


def _write_image(number: int, path: Path) -> None:
    _draw_image(number, _PORTRAIT).save(path, "JPEG", quality=85)


def _write_document(path: Path) -> None:
    first, *others = (_draw_image(number, _PORTRAIT) for number in range(1, _PAGES + 1))
    first.save(path, "PDF", save_all=True, append_images=others)


def write_video(path: Path) -> None:
    """Write H.264 in MP4, 9:16, index first."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(_RATE * _SECONDS):
            image = Image.new("RGB", _SIZE, _COLOURS[1])
            top = number * (_SIZE[1] - 100) // (_RATE * _SECONDS)
            ImageDraw.Draw(image).rectangle((170, top, 370, top + 100), fill=_COLOURS[3])
            output.mux(stream.encode(_to_frame(image)))
        output.mux(stream.encode(None))
    _pad(path, _SMALL_BYTES)


def _to_frame(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


def _write_large_video(path: Path) -> None:
    """Write the same video, padded."""
    path.write_bytes(path.with_name("sample.mp4").read_bytes())
    _pad(path, _LARGE_BYTES)


def _pad(path: Path, size: int) -> None:
    """Pad an MP4 file to `size` bytes with a `free` box, which players skip."""
    missing = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", missing, b"free") + os.urandom(missing - 8))


Register: TypeAlias = Callable[[web.Application, SandboxContext], None]
"""Adds the routes of one platform, its account kind and its processors."""

PLATFORMS: Final[Mapping[str, Register]] = {
    "tiktok": tiktok.register,
    "tiktok_business": tiktok_business.register,
    # Before Instagram: on their shared host, `me` is tried as a Page first.
    "facebook": facebook.register,
    "instagram": instagram.register,
    "youtube": youtube.register,
    "pinterest": pinterest.register,
    "linkedin": linkedin.register,
}


__all__ = ["SandboxSettings", "run"]

_BODY_BYTES = 32 << 20
"""Largest body of a request that is not streamed."""
_SHUTDOWN_S = 1.0
_KEEPALIVE_S = 75.0


def run(settings: SandboxSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SystemExit with a message (status 1) if a port is in use or another sandbox uses the folder.
    """
    with _lock_folder(settings):
        asyncio.run(_serve(settings))


@contextmanager
def _lock_folder(settings: SandboxSettings) -> Iterator[None]:
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (settings.folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another sandbox already uses the folder {settings.folder}.") from None
        yield


async def _serve(settings: SandboxSettings) -> None:
    context = SandboxContext(settings)
    runners: list[web.AppRunner] = []
    try:
        make_samples(context.media)
        for app, port in (
            (make_platform_app(context), settings.port),
            (make_media_app(context), settings.media_port),
        ):
            runners.append(await _listen(app, settings.host, port))
        context.processing.resume()
        await _wait_for_signal()
    finally:
        for runner in runners:
            await runner.cleanup()
        await context.close()


def make_platform_app(context: SandboxContext) -> web.Application:
    """Return the application of the platform port: every platform of the table, and the control API."""
    app = web.Application(client_max_size=_BODY_BYTES)
    for register in PLATFORMS.values():
        register(app, context)
    mount_control(app, context)
    return app


async def _listen(app: web.Application, host: str, port: int) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=_KEEPALIVE_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(
                f"Port {port} on {host} is busy: stop what uses it, or choose another."
            ) from None
        raise SystemExit(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return runner


async def _wait_for_signal() -> None:
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
