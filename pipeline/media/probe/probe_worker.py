"""What goes on inside the jail: one hostile file is read through a pipe, and it is said what it is.

An inmate is a process that ``warden.py`` forked, for one file. Its libraries are loaded; it gives up every right, says
that it is ready, and only then gets to see the first byte. It asks for bytes by (offset, length) and gets them through
its pipes; there is no name of the file, no network and no other file to be had in here.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

ASK = struct.Struct(">cQI")
"""What the inmate says: what (``R`` ready, ``G`` get, ``A`` answer), offset, length; an answer's JSON follows."""
READY, GET, ANSWER = b"R", b"G", b"A"
SIZE = struct.Struct(">I")
"""What goes before everything that is sent in: its length in bytes."""
PIECE = 1024 * 1024
"""Most bytes that are asked for at once."""
MEMORY = 1024**3
CPU_SECONDS = 10
MAX_PIXELS = 100_000_000
MAX_STREAMS = "64"
_NOBODY = 65534
# FFmpeg's full names of the only demuxers there are in here (an HLS playlist opens others).
_DEMUXERS = {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm", "avi": "avi"}
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


class RangeFile:
    """A file object over the pipe: the only thing in here that can be read."""

    def __init__(self, size: int, get: Callable[[int, int], bytes]) -> None:
        self._size, self._get, self._at = size, get, 0

    def read(self, size: int = -1) -> bytes:
        """Fewer bytes only at the end of the file."""
        rest = max(0, self._size - self._at)
        wanted = rest if size < 0 else min(size, rest)
        pieces = []
        while wanted:
            data = self._get(self._at, min(wanted, PIECE))
            if not data:
                break
            pieces.append(data)
            self._at += len(data)
            wanted -= len(data)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """The offset of the next read."""
        return self._at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


class Pipe:
    """The two ends an inmate was born with."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def say(self, what: bytes, offset: int = 0, length: int = 0, more: bytes = b"") -> None:
        """One message out."""
        data = ASK.pack(what, offset, length) + more
        while data:
            data = data[os.write(self._outgoing, data) :]

    def hear(self) -> bytes:
        """One message in; waits for it."""
        (length,) = SIZE.unpack(self._exactly(SIZE.size))
        return self._exactly(length)

    def get(self, offset: int, length: int) -> bytes:
        """Bytes of the file."""
        self.say(GET, offset, length)
        return self.hear()

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = os.read(self._incoming, min(65536, length - len(data)))
            if not piece:
                os._exit(1)  # nobody is there any more
            data += piece
        return bytes(data)


def _limit() -> None:
    """What can be taken away first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS has the name, and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _lock() -> None:
    """What can only be taken away after: another user, no new file descriptors or processes, hardly a system call."""
    from pipeline.media.probe import seccomp  # noqa: PLC0415

    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    for what in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(what, (0, 0))
    seccomp.no_new_privileges()
    seccomp.restrict()


def _say_no(url: str, *_: object) -> NoReturn:
    raise PermissionError(url)


def _video(job: Mapping[str, Any], file: RangeFile, av: Any, boxes: Any) -> dict[str, Any]:
    """What FFmpeg says of a video; its demuxer is given, and everything that file names elsewhere stays closed."""
    demuxer, size, turned = job["format"], job["size"], frozenset[int]()
    if demuxer == "mov":
        if boxes.cut_short(file, size):
            return {"error": "cut_short"}
        turned = boxes.sideways(file, size)
        file.seek(0)
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": _DEMUXERS[demuxer],
        "max_streams": MAX_STREAMS,
    }
    with av.open(
        file, "r", format=demuxer, container_options=options, io_open=_say_no, metadata_errors="ignore"
    ) as container:
        covers = av.stream.Disposition.attached_pic
        stream = next((found for found in container.streams.video if not found.disposition & covers), None)
        if stream is None or stream.codec_context is None or not stream.codec_context.width:
            return {"error": "no_video"}
        return _described(container, stream, turned=stream.id in turned)


def _described(container: Any, stream: Any, *, turned: bool) -> dict[str, Any]:
    context, shape = stream.codec_context, stream.sample_aspect_ratio or 1
    width, height = round(context.width * shape), context.height
    rate = stream.average_rate or stream.guessed_rate
    duration = None
    if container.duration is not None:
        duration = container.duration / 1_000_000
    elif stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    return {
        "width": height if turned else width,
        "height": width if turned else height,
        "duration": duration,
        "codec": context.codec.canonical_name,
        "fps": float(rate) if rate else None,
    }


def _image(job: Mapping[str, Any], file: RangeFile, image: Any) -> dict[str, Any]:
    """What Pillow says of an image from its header; no pixel is decoded."""
    try:
        with image.open(file, formats=[job["format"]]) as opened:
            width, height = opened.size
            turned = _orientation(opened) in _TURNED
    except (image.DecompressionBombError, image.DecompressionBombWarning):
        return {"error": "too_many_pixels"}
    return {"width": height, "height": width} if turned else {"width": width, "height": height}


def _orientation(opened: Any) -> int | None:
    if (
        opened.format == "PNG" and "exif" not in opened.info
    ):  # else Pillow would decode it all to look behind it
        return None
    try:
        return opened.getexif().get(_ORIENTATION)  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001  broken EXIF fails in a dozen ways, and a picture without it is shown as it is
        return None


def _heif(job: Mapping[str, Any], file: RangeFile, boxes: Any) -> dict[str, Any]:
    found = boxes.heif_size(file, job["size"])
    return {"width": found[0], "height": found[1]} if found else {}


def _reader(job: Mapping[str, Any]) -> Callable[[RangeFile], dict[str, Any]]:
    """All that this job needs is loaded: after the lock not even a module can be read any more."""
    from pipeline.media.probe import iso_media as boxes  # noqa: PLC0415

    if job["reader"] == "av":
        av = _av()
        return lambda file: _video(job, file, av, boxes)
    if job["reader"] == "pillow":
        image = _pillow()
        return lambda file: _image(job, file, image)
    return lambda file: _heif(job, file, boxes)


@cache
def _av() -> Any:
    import pkgutil  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    import av  # noqa: PLC0415

    for module in pkgutil.walk_packages(av.__path__, "av."):  # it loads parts of itself on first use
        if module.name not in ("av.__main__", "av.about", "av.datasets"):
            import_module(module.name)
    return av


@cache
def _pillow() -> Any:
    from importlib import import_module  # noqa: PLC0415

    from PIL import AvifImagePlugin, Image  # noqa: PLC0415

    Image.preinit()
    for plugin in ("WebP", "Mpo", "Tiff"):  # Tiff reads EXIF, Mpo the two-in-one JPEGs of phones
        import_module(f"PIL.{plugin}ImagePlugin")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    return Image


def load() -> None:
    """Everything any job needs: an inmate is forked with it."""
    from pipeline.media.probe import iso_media as boxes  # noqa: F401, PLC0415

    _av()
    _pillow()


def serve(incoming: int, outgoing: int) -> NoReturn:
    """One job from start to end. Anything that goes wrong before ``ready`` is our fault, after it the file's."""
    _limit()
    pipe = Pipe(incoming, outgoing)
    job = json.loads(pipe.hear())
    read = _reader(job)
    _lock()
    pipe.say(READY)
    try:
        seen = read(RangeFile(job["size"], pipe.get))
    except Exception:  # noqa: BLE001  hostile bytes fail in every way there is; all of them mean the same
        seen = {"error": "unreadable"}
    answer = json.dumps(seen).encode()
    pipe.say(ANSWER, 0, len(answer), answer)
    os._exit(0)
