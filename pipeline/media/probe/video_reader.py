"""Opens one hostile video with FFmpeg, and makes a thumbnail of its first good frame. Runs in the probe process.

Many videos begin black, or fade in. So frames are decoded until one has contrast, and the one with the most is taken
if none has enough. Decoding begins at the start: to seek would cost further reads of the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, NoReturn

from pipeline.media.probe.containers import Malformed
from pipeline.media.probe.convert_image import encode
from pipeline.media.probe.video_index import OverLimit

_PROBE_BYTES = "5000000"  # FFmpeg's default, which `video_index.FRAGMENT_BYTES` relies on
MAX_STREAMS = "64"
# FFmpeg's full names of the only demuxers that are allowed (an HLS playlist would open others).
_DEMUXERS = {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm", "avi": "avi"}


@contextmanager
def open_video(demuxer: str, file: IO[bytes], av: Any) -> Iterator[tuple[Any, Any]]:
    """Open a video, and yield its container with its first stream of pictures.

    The demuxer is given, and nothing that the file refers to is opened. Raises Malformed for a damaged video, OverLimit
    for one without pictures.
    """
    file.seek(0)
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": _DEMUXERS[demuxer],
        "max_streams": MAX_STREAMS,
        "probesize": _PROBE_BYTES,
    }
    try:
        with av.open(
            file,
            "r",
            format=demuxer,
            container_options=options,
            io_open=_refuse_open,
            metadata_errors="ignore",
        ) as container:
            covers = av.stream.Disposition.attached_pic
            stream = next((one for one in container.streams.video if not one.disposition & covers), None)
            if stream is None or stream.codec_context is None or not stream.codec_context.width:
                raise OverLimit("no_video", 0, 0)
            yield container, stream
    except av.error.FFmpegError as error:
        if isinstance(
            error, (MemoryError, PermissionError)
        ):  # a system call that is refused is not the file's fault
            raise
        raise Malformed(str(error)) from None


def _refuse_open(url: str, *_: object) -> NoReturn:
    """FFmpeg's callback for every file or URL that a media file names."""
    raise Malformed(url)


MAX_FRAMES = 90
"""Frames that are decoded, at most: the first three seconds of most videos."""
SEARCH_SECONDS = 1.0
"""Seconds of processor time after which no further frame is decoded, well below the limit of the process."""
CONTRAST = 48
"""Difference between the lightest and the darkest grey, of 255, at which a frame is good."""


def take_frame(job: Mapping[str, Any], file: IO[bytes], av: Any) -> bytes:
    """Return a frame as the job's ``encoding``, in its size. Raises Malformed if none can be decoded."""
    until = time.process_time() + SEARCH_SECONDS
    best, most = None, -1
    with open_video(job["format"], file, av) as (container, stream):
        stream.codec_context.thread_count = 1  # no thread can be started
        try:
            for frame in islice(container.decode(stream), MAX_FRAMES):
                picture = _to_picture(frame, job)
                darkest, lightest = picture.convert("L").getextrema()
                if lightest - darkest > most and not frame.is_corrupt:
                    best, most = picture, lightest - darkest
                if most >= CONTRAST or time.process_time() > until:
                    break
        except av.error.FFmpegError:
            if best is None:  # else the frames before the damaged one suffice
                raise
    if best is None:
        raise Malformed("no frame")
    return encode(best, job)


def _to_picture(frame: Any, job: Mapping[str, Any]) -> Any:
    """Return a frame scaled, and turned as an MP4 or MOV says; of other containers its facts know no rotation."""
    turns = round(frame.rotation / 90) % 4 if job["format"] == "mov" else 0
    width, height = job["scaled"][::-1] if turns % 2 else job["scaled"]
    picture = frame.reformat(width=width, height=height, format="rgb24", threads=1).to_image()
    return picture.rotate(90 * turns, expand=True)  # both count counterclockwise
