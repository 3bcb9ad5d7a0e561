"""Probes a media URL once: whether it can be fetched, and its real type, size, dimensions, duration and codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.contract import MediaFacts
from pipeline.media.opener import Opener
from pipeline.media.probe import probe_client
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.probe.range_source import ProbeLimits, RangeSource
from pipeline.media.probe.sniff import HEAD_BYTES, Container, Kind, sniff
from pipeline.media.refusal import Refused

_WEB_PAGES = frozenset(
    {"application/json", "application/xml", "application/xhtml+xml", "text/html", "text/xml"}
)
"""Content types that are refused whatever the bytes are: platforms that fetch the URL refuse them too."""


def probe(
    fetcher: Opener,
    url: str,
    expected: Kind,
    *,
    limits: ProbeLimits | None = None,
    needs_hash: Callable[[MediaFacts], bool] = lambda _: False,
) -> MediaFacts:
    """Return the facts of the file at ``url``, which must be of the expected kind.

    ``needs_hash``: whether a file with these facts is read whole for its SHA-256.

    Width and height are as shown: after rotation, with square pixels. Raises Refused (the file is not usable),
    Unanswered (it may be later) and ProbeUnavailable (this installation is at fault).
    """
    limits = ProbeLimits() if limits is None else limits
    source = RangeSource(fetcher, url, limits)
    try:
        source.open()
        container = _recognize(source, expected)
        memory = get_probe_memory(limits.memory)
        result = probe_client.inspect(container, source.size, source.read, source.seconds_left(), memory)
        facts = MediaFacts(
            content_type=container.content_type,
            bytes=source.size,
            width=result.width,
            height=result.height,
            duration=result.duration,
            codec=result.codec,
            fps=result.fps,
            etag=source.etag,
        )
        return replace(facts, sha256=source.compute_sha256()) if needs_hash(facts) else facts
    finally:
        source.close()


def _recognize(source: RangeSource, expected: Kind) -> Container:
    """Return the container of the bytes. Raises Refused for web pages, unknown formats and the other kind."""
    served, wanted = source.content_type, _WITH_ARTICLE[expected]
    if served in _WEB_PAGES:
        raise Refused(f"content type {served}, not {wanted}")
    container = sniff(source.read(0, HEAD_BYTES))
    if container is None:
        header = f"content type {served}" if served else "no content type"
        raise Refused(f"{header}, and the bytes are not those of {wanted} in a format that is accepted")
    if container.kind != expected:
        raise Refused(f"it is {_WITH_ARTICLE[container.kind]} ({container.content_type}), not {wanted}")
    return container


_WITH_ARTICLE: dict[Kind, str] = {"image": "an image", "video": "a video"}
