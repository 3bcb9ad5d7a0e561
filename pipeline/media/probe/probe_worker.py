"""The probe process: gives up every right, reads one hostile file through a pipe and answers what it is.

``fork_server.py`` forks it for one file, with the libraries loaded. It confines itself, says that it is ready and only
then receives the first byte. It requests bytes by (offset, length) and receives them through its pipes. It has no name
of the file, no network and no other file.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from pipeline.domain.media_fitting import CMYK
from pipeline.media.probe.containers import (
    SIDEWAYS,
    Malformed,
    is_cut_short,
    list_sideways_tracks,
    read_heif_size,
    read_orientation,
    read_webp,
    to_orientation,
    translate_pillow_errors,
)
from pipeline.media.probe.document_reader import count_pages, load_pypdf
from pipeline.media.probe.sheet_reader import load_calamine, read_sheet
from pipeline.media.probe.video_index import OverLimit, check_limit, estimate_memory

REQUEST = struct.Struct(">cQI")
"""A message of the process: a kind, an offset and a length. The JSON of an answer, or output, follows its length."""
READY, READ, ANSWER, OUTPUT = b"R", b"G", b"A", b"O"
LENGTH = struct.Struct(">I")
"""Precedes everything that the process receives: its length in bytes."""
MAX_READ = 1024 * 1024
"""Bytes of one read request, at most."""
MEMORY = 256 * 1024**2
"""Bytes that a process may allocate in addition to the loaded libraries, at most."""
SMALL_MEMORY = 32 * 1024**2
"""Bytes that suffice for nearly every file: 4K video, or an hour of it at 60 frames a second without sound."""
CPU_SECONDS = 3
CONVERSION_MEMORY = 384 * 1024**2
"""Bytes that a process may allocate to convert an image, at most: it decodes what a probe reads the header of."""
CONVERSION_CPU_SECONDS = 20
THUMBNAIL_MEMORY = 192 * 1024**2
"""Bytes that a process may allocate to make a thumbnail, at most: the first frames of 4K HEVC take 128 (measured)."""
MAX_OUTPUT = 24 * 1024**2
"""Bytes of a converted image, at most."""
MAX_PIXELS = MEMORY // 4
"""Pixels of an image: as many as fit the memory at four bytes each, 67 million."""
MAX_TRACEBACK = 3000
_RESERVE = 12 * 1024**2
"""Bytes in addition to the estimate: blocks that are read, parsers, a frame."""
_READ_AHEAD = 16 * 1024
_NOBODY = 65534
_MAY_MOVE = frozenset({"GIF", "PNG", "AVIF"})
"""Formats of animations that Pillow opens; a JPEG of several pictures (MPO) is none."""


class _Ranges(io.RawIOBase):
    """Ranges of the file, each requested through the pipe."""

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size, self._read_range, self._position = size, read_range, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def readinto(self, buffer: Any) -> int:  # WriteableBuffer is known to typeshed only
        length = min(len(buffer), self._size - self._position, MAX_READ)
        data = self._read_range(self._position, length) if length > 0 else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class RangeFile(io.BufferedReader):
    """A seekable file object over the pipe, for FFmpeg and Pillow.

    It reads some bytes ahead: millions of small reads would cost the worker more.
    """

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        super().__init__(_Ranges(size, read_range), _READ_AHEAD)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end of the file: no more is allocated than there is."""
        rest = max(0, self._size - self.tell())
        return super().read(rest if size is None or size < 0 else min(size, rest))


class Pipe:
    """The pipes to and from the worker."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, kind: bytes, offset: int = 0, length: int = 0, body: bytes = b"") -> None:
        """Send one message."""
        data = memoryview(REQUEST.pack(kind, offset, length) + body)
        while data:
            data = data[os.write(self._outgoing, data) :]

    def send_output(self, output: bytes) -> None:
        """Send a piece of what the file becomes."""
        self.send(OUTPUT, 0, len(output), output)

    def receive(self) -> bytes:
        """Wait for one message and return it. Ends the process when the worker has closed the pipe."""
        (length,) = LENGTH.unpack(self._receive_exactly(LENGTH.size))
        return self._receive_exactly(length)

    def read_range(self, offset: int, length: int) -> bytes:
        """Request bytes of the file and return them."""
        self.send(READ, offset, length)
        return self.receive()

    def _receive_exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = os.read(self._incoming, min(65536, length - len(data)))
            if not piece:
                os._exit(1)  # the worker has closed the pipe
            data += piece
        return bytes(data)


def _set_limits(memory: int, cpu_seconds: int) -> None:
    """Set the limits that loading the job still works under: memory, processor time, no files written, no core.

    ``memory``: bytes in addition to the memory that the fork server has taken for the libraries.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS has the name, and refuses to set it
        loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (loaded + memory, loaded + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _drop_rights() -> None:
    """Give up the rest: the user (if root), new file descriptors and processes, nearly all system calls."""
    from pipeline.media.probe import seccomp  # noqa: PLC0415

    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    for what in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(what, (0, 0))
    seccomp.no_new_privileges()
    seccomp.restrict()


def _require_memory(job: Mapping[str, Any], size: int) -> None:
    """Raise MemoryError if an estimate is over what the job has: some libraries drop data when memory ends."""
    if size > job["memory"] - _RESERVE:
        raise MemoryError


def _inspect_video(job: Mapping[str, Any], file: RangeFile, av: Any) -> dict[str, Any]:
    """Inspect a video with FFmpeg."""
    from pipeline.media.probe.video_reader import open_video  # noqa: PLC0415

    demuxer, size, sideways = job["format"], job["size"], frozenset[int]()
    _require_memory(job, estimate_memory(demuxer, file, size))
    if demuxer == "mov":
        if is_cut_short(file, size):
            return {"error": "cut_short"}
        sideways = list_sideways_tracks(file, size)
    with open_video(demuxer, file, av) as (container, stream):
        return _describe_video(container, stream, is_sideways=stream.id in sideways)


def _describe_video(container: Any, stream: Any, *, is_sideways: bool) -> dict[str, Any]:
    context, shape = stream.codec_context, stream.sample_aspect_ratio or 1
    width, height = round(context.width * shape), context.height
    rate = stream.average_rate or stream.guessed_rate
    duration = None
    if container.duration is not None:
        duration = container.duration / 1_000_000
    elif stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    return {
        "width": height if is_sideways else width,
        "height": width if is_sideways else height,
        "duration": duration,
        "codec": context.codec.canonical_name,
        "fps": float(rate) if rate else None,
    }


def _inspect_image(job: Mapping[str, Any], file: RangeFile, image: Any) -> dict[str, Any]:
    """Inspect an image from its header. No pixel is decoded."""
    if job["format"] == "WEBP":
        return _inspect_webp(file, job["size"], image)
    if job["format"] == "AVIF":  # Pillow reads it whole
        _require_memory(job, 3 * job["size"])
    with translate_pillow_errors(), image.open(file, formats=[job["format"]]) as opened:
        if opened.format in _MAY_MOVE and getattr(opened, "is_animated", False):
            return {"error": "animated"}
        found = _describe_image(*opened.size, is_sideways=read_orientation(opened) in SIDEWAYS)
        return found | {"codec": CMYK} if opened.mode == "CMYK" else found


def _inspect_webp(file: RangeFile, size: int, image: Any) -> dict[str, Any]:
    header = read_webp(file, size)
    if header.is_animated:
        return {"error": "animated"}

    def read_exif() -> Any:
        exif = image.Exif()
        exif.load(header.exif)
        return exif

    return _describe_image(header.width, header.height, is_sideways=to_orientation(read_exif) in SIDEWAYS)


def _describe_image(width: int, height: int, *, is_sideways: bool = False) -> dict[str, Any]:
    check_limit("too_many_pixels", width * height, MAX_PIXELS)
    return {"width": height, "height": width} if is_sideways else {"width": width, "height": height}


def _inspect_heif(job: Mapping[str, Any], file: RangeFile) -> dict[str, Any]:
    found = read_heif_size(file, job["size"])
    return _describe_image(*found) if found else {}


def _select_reader(job: Mapping[str, Any], pipe: Pipe) -> Callable[[RangeFile], dict[str, Any]]:
    """Return the function for this job, with its libraries loaded: afterwards no module can be imported."""
    if job["reader"] == "calamine":
        calamine = load_calamine()
        return lambda file: read_sheet(job, file, pipe.send_output, calamine)
    if job["reader"] == "convert":
        from pipeline.media.probe.convert_image import convert  # noqa: PLC0415

        return lambda file: _send_converted(pipe, convert(job, file))
    if job["reader"] == "frame":
        from pipeline.media.probe.video_reader import take_frame  # noqa: PLC0415

        return lambda file: _send_converted(pipe, take_frame(job, file, _load_av()))
    if job["reader"] == "av":
        av = _load_av()
        return lambda file: _inspect_video(job, file, av)
    if job["reader"] == "pypdf":
        pypdf = load_pypdf()
        return lambda file: count_pages(file, pypdf)
    if job["reader"] == "pillow":
        image = _load_pillow()
        return lambda file: _inspect_image(job, file, image)
    return lambda file: _inspect_heif(job, file)


def _send_converted(pipe: Pipe, output: bytes) -> dict[str, Any]:
    pipe.send_output(output)
    return {}


@cache
def _load_av() -> Any:
    import pkgutil  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    import av  # noqa: PLC0415

    for module in pkgutil.walk_packages(av.__path__, "av."):  # av imports some of its modules on first use
        if module.name not in ("av.__main__", "av.about", "av.datasets"):
            import_module(module.name)
    return av


@cache
def _load_pillow() -> Any:
    from importlib import import_module  # noqa: PLC0415

    from PIL import AvifImagePlugin, Image  # noqa: PLC0415

    Image.preinit()
    for plugin in ("WebP", "Mpo", "Tiff"):  # Tiff reads EXIF, Mpo the JPEGs of phones that contain two images
        import_module(f"PIL.{plugin}ImagePlugin")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.MAX_IMAGE_PIXELS = None  # `_describe_image` has the limit
    return Image


def load_libraries() -> None:
    """Import what most jobs need, before the fork. A document's library comes after it: 7 MB that only it needs."""
    _load_av()
    _load_pillow()
    load_calamine()
    from pipeline.media.probe import convert_image, video_reader  # noqa: F401, PLC0415


def serve(incoming: int, outgoing: int) -> NoReturn:
    """Do one job and end the process. An error before `READY` is this installation's fault."""
    pipe = Pipe(incoming, outgoing)
    job = json.loads(pipe.receive())
    _set_limits(job["memory"], job["cpu_seconds"])
    inspect = _select_reader(job, pipe)
    _drop_rights()
    pipe.send(READY)
    answer = json.dumps(_answer(inspect, RangeFile(job["size"], pipe.read_range))).encode()
    pipe.send(ANSWER, 0, len(answer), answer)
    os._exit(0)


def _answer(inspect: Callable[[RangeFile], dict[str, Any]], file: RangeFile) -> dict[str, Any]:
    """Return the facts of a file, why it cannot be used, or the traceback of an error that is not the file's."""
    try:
        return inspect(file)
    except MemoryError:
        return {"error": "too_much_memory"}
    except OverLimit as over:
        return {"error": over.error, "found": over.found, "limit": over.limit}
    except Malformed:
        return {"error": "unreadable"}
    except Exception:  # noqa: BLE001  anything else is a fault of ours, or of a library's new version
        text = traceback.format_exc().encode("ascii", "replace").decode()
        return {"error": "fault", "traceback": text[-MAX_TRACEBACK:]}
