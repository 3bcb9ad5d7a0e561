"""Parse a multipart form that is completely in memory."""

import re
from email.message import Message

from adapters.sandbox.store import Record

_NAME = re.compile(rb'[ ;]name="?([^";\r]*)"?')
_FILE = re.compile(rb"[ ;]filename\*?=")


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary of a Content-Type; empty if it has none."""
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_param("boundary", "")).encode()


def parse_fields(content_type: str, body: bytes) -> Record:
    """Return the form's fields by name: strings, and bytes for parts with a file name."""
    boundary = parse_boundary(content_type)
    fields: Record = {}
    if not boundary:
        return fields
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if part.startswith(b"--") or name is None:
            continue
        is_file = _FILE.search(head) is not None
        fields[name[1].decode("utf-8", "replace")] = data if is_file else data.decode("utf-8", "replace")
    return fields
