"""The multipart form that uploads a video to Pinterest's bucket, as a stream of known length.

The bucket's policy requires every parameter as a field, and ``file`` as the last one: the bucket ignores the rest.
Source: Pinterest's OpenAPI description 5.23.0 (media/create) and Amazon S3's POST object page, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from secrets import token_hex

from adapters.contract import Media
from adapters.http import SizedBody
from adapters.upload_source import get_size, open_range


def build_form(media: Media, parameters: Mapping[str, str]) -> tuple[str, SizedBody]:
    """Return content type and body, with the source already open.

    Raises Unavailable when the source does not respond, and Rejected when the file has changed.
    """
    boundary, size = f"slipway-{token_hex(16)}", get_size(media)
    head = b"".join(_build_field(boundary, name, value) for name, value in parameters.items())
    head += _build_file_header(boundary, media.facts.content_type if media.facts else "video/mp4")
    tail = f"\r\n--{boundary}--\r\n".encode()
    chunks = chain((head,), open_range(media, 0, size), (tail,))
    return f"multipart/form-data; boundary={boundary}", SizedBody(chunks, len(head) + size + len(tail))


def _build_field(boundary: str, name: str, value: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n{value}\r\n'.encode()
    )


def _build_file_header(boundary: str, content_type: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()


def _quote(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
