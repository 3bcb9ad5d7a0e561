"""The multipart form that carries a video to Pinterest's bucket, as a stream of known length.

The bucket's policy wants every parameter as a field and ``file`` as the last one; whatever follows it is ignored.
Source: Pinterest's OpenAPI description 5.23.0 (media/create) and Amazon S3's POST object page, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from secrets import token_hex

from adapters.contract import Media
from adapters.errors import Unavailable
from adapters.http import SizedBody


def form_of(media: Media, parameters: Mapping[str, str]) -> tuple[str, SizedBody]:
    """Content type and body. The source is open when this returns.

    Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
    """
    if media.stream is None or media.facts is None:
        raise Unavailable("The video has no source to read from.", code="media_unavailable")
    boundary, size = f"slipway-{token_hex(16)}", media.facts.bytes
    head = b"".join(_field(boundary, name, value) for name, value in parameters.items())
    head += _file(boundary, media.facts.content_type)
    tail = f"\r\n--{boundary}--\r\n".encode()
    chunks = chain((head,), opened(media.stream(0, size), size), (tail,))
    return f"multipart/form-data; boundary={boundary}", SizedBody(chunks, len(head) + size + len(tail))


def opened(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Exactly ``length`` bytes, the first piece already here: a dead source is noticed before anything is sent."""
    head = next(pieces, None)
    if head is None:
        raise Unavailable("The video's source gave no bytes.", code="media_unavailable")
    return _exactly(chain((head,), pieces), length)


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > length:
            break
        yield piece
    if seen != length:
        raise Unavailable(
            f"The video's source gave {seen} bytes instead of {length}.", code="media_unavailable"
        )


def _field(boundary: str, name: str, value: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'.encode()
    )


def _file(boundary: str, content_type: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
