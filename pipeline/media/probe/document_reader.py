"""Counts the pages of a hostile PDF, in the probe process. No page is drawn, and nothing in the file is run."""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import IO, Any

from pipeline.media.probe.containers import Malformed

_CODECS = ("gbk", "latin-1", "utf-16", "utf-16-be")
"""Codecs of names and texts, which Python imports on first use."""
_END = 4096
"""Bytes at the end of a file, where its trailer is."""


@cache
def load_pypdf() -> Any:
    """Import the library, before the process gives up its rights. What it says of a file is not logged.

    It gets no cryptography, which would take another 8 MB: a document with a password is refused.
    """
    import pkgutil  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    sys.modules.setdefault("pypdf._crypt_providers._cryptography", None)  # type: ignore[arg-type]
    import pypdf  # noqa: PLC0415

    for module in pkgutil.walk_packages(pypdf.__path__, "pypdf."):  # it imports some of them on first use
        if not module.name.startswith("pypdf._crypt_providers."):
            import_module(module.name)
    for codec in _CODECS:
        "".encode(codec)
    log = logging.getLogger("pypdf")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return pypdf


def _is_locked(file: IO[bytes]) -> bool:
    """Return True if the end of a file that could not be read says that it is encrypted."""
    file.seek(0, 2)
    file.seek(max(0, file.tell() - _END))
    return b"/Encrypt" in file.read(_END)


def count_pages(file: IO[bytes], pypdf: Any) -> dict[str, Any]:
    """Return the pages of a PDF, or ``error``. Raises Malformed, MemoryError, and OSError of a system call."""
    try:
        reader = pypdf.PdfReader(file)
        if reader.is_encrypted:
            return {"error": "encrypted"}
        pages = len(reader.pages)
    except (MemoryError, ImportError):
        raise
    except pypdf.errors.DependencyError:
        return {"error": "encrypted"}
    except pypdf.errors.LimitReachedError:
        raise MemoryError from None
    except OSError as error:
        if error.errno is not None:  # from a system call, not from pypdf
            raise
        raise Malformed(str(error)) from None
    except Exception as error:  # noqa: BLE001  a damaged file makes pypdf raise nearly anything
        if _is_locked(file):
            return {"error": "encrypted"}
        raise Malformed(str(error)) from None
    if not pages:
        raise Malformed("no pages")
    return {"pages": pages}
