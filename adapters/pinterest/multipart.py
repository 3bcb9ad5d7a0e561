"""The multipart form that carries a video to Pinterest's bucket, as a stream of known length.

The bucket's policy wants every parameter as a field and ``file`` as the last one; whatever follows it is ignored.
Source: Pinterest's OpenAPI description 5.23.0 (media/create) and Amazon S3's POST object page, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from secrets import token_hex

from adapters.contract import Media
from adapters.http import SizedBody
from adapters.upload_source import opened, size_of


def form_of(media: Media, parameters: Mapping[str, str]) -> tuple[str, SizedBody]:
    """Content type and body. The source is open when this returns.

    Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
    """
    boundary, size = f"slipway-{token_hex(16)}", size_of(media)
    head = b"".join(_field(boundary, name, value) for name, value in parameters.items())
    head += _file(boundary, media.facts.content_type if media.facts else "video/mp4")
    tail = f"\r\n--{boundary}--\r\n".encode()
    chunks = chain((head,), opened(media, 0, size), (tail,))
    return f"multipart/form-data; boundary={boundary}", SizedBody(chunks, len(head) + size + len(tail))


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
