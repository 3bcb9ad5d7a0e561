"""Looks at a user-given URL once: can it be had, what is it really, how large, how long, in which codec."""

from __future__ import annotations

from adapters.contract import MediaFacts
from pipeline.media.opener import Opener
from pipeline.media.probe import probe_client as jail
from pipeline.media.probe.range_source import Patience, Source
from pipeline.media.probe.sniff import HEAD, Container, Kind, sniff
from pipeline.media.refusal import Refused

_PAGES = frozenset({"application/json", "application/xml", "application/xhtml+xml", "text/html", "text/xml"})
"""Served types that say plainly "not a file of media", whatever the bytes; platforms that pull believe them too."""


def probe(fetcher: Opener, url: str, expected: Kind, *, patience: Patience | None = None) -> MediaFacts:
    """The facts of the file at ``url``, which is to be an image or a video.

    Raises Refused (it will not do as it is), Unanswered (it may later), inmates.JailBroken (this installation is at
    fault). Width and height are as shown: after rotation, and with square pixels.
    """
    source = Source(fetcher, url, Patience() if patience is None else patience)
    try:
        source.open()
        container = _container(source, expected)
        seen = jail.inspect(container, source.size, source.read, source.left())
    finally:
        source.close()
    return MediaFacts(
        content_type=container.content_type,
        bytes=source.size,
        width=seen.width,
        height=seen.height,
        duration=seen.duration,
        codec=seen.codec,
        fps=seen.fps,
        etag=source.etag,
    )


def _container(source: Source, expected: Kind) -> Container:
    """What the bytes are; refuses pages, what is not known, and images where a video is due or the reverse."""
    served = source.content_type
    if served in _PAGES:
        raise Refused(f"content type {served}, not {_A[expected]}")
    container = sniff(source.read(0, HEAD))
    if container is None:
        said = f"content type {served}" if served else "no content type"
        raise Refused(f"{said}, and the bytes are not those of {_A[expected]} in a format that is accepted")
    if container.kind != expected:
        raise Refused(f"it is {_A[container.kind]} ({container.content_type}), not {_A[expected]}")
    return container


_A: dict[Kind, str] = {"image": "an image", "video": "a video"}
