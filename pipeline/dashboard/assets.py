"""Static files: own CSS and JavaScript, and the libraries that ``make assets`` fetches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from mimetypes import guess_type

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.representation import NegotiatedResponse

FOLDER = files("pipeline.dashboard") / "static"
_SERVED = frozenset({"text/css", "text/javascript", "image/svg+xml"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    digest: str


@lru_cache(maxsize=100)
def load_asset(name: str) -> Asset:
    """Return a file of the folder by its path in it. Raises KeyError for anything else."""
    media_type = guess_type(name)[0] or ""
    segments = name.split("/")
    file = FOLDER.joinpath(*segments)
    if media_type not in _SERVED or any(s in {"", ".", ".."} for s in segments) or not file.is_file():
        raise KeyError(name)
    content = file.read_bytes()
    return Asset(content=content, media_type=media_type, digest=hashlib.sha256(content).hexdigest()[:16])


def static(name: str) -> str:
    """Return the address of a file. It changes with the content. Raises KeyError."""
    return f"/dashboard/static/{load_asset(name).digest}/{name}"


async def send_asset(request: Request) -> Response:
    """Send a file; browsers keep it for ever. During an upgrade, pages of the other version get this version's."""
    try:
        asset = load_asset(request.path_params["name"])
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        raise HTTPException(404) from None
    is_current = request.path_params["digest"] == asset.digest
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
        "Vary": "Accept-Encoding",
    }
    return NegotiatedResponse(asset.content, headers=headers, media_type=asset.media_type)
