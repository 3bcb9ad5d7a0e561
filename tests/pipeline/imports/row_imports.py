"""Imports of rows that are alike but for their captions, stored as a client uploads them."""

from __future__ import annotations

from uuid import UUID

from pipeline.imports.columns import Columns, Format
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.pipeline.core_fixture import VIDEO, CoreFixture


def write_rows(core: CoreFixture, count: int, caption: str = "Row {}") -> bytes:
    """Return a file of *count* rows for the account ``one``."""
    body = {
        "media": {"type": "video", "url": VIDEO},
        "accounts": [{"id": str(core.accounts["one"])}],
        "scheduled_at": LATER,
    }
    return write_lines(*({"caption": caption.format(n), **body} for n in range(count)))


def upload_rows(core: CoreFixture, count: int, caption: str = "Row {}") -> UUID:
    """Store such a file; return the id of its import."""
    lines = write_rows(core, count, caption)
    return store_file(core.context, core.caller, ImportOptions(), Columns([]), [lines], Format.NDJSON).id


def find_import(core: CoreFixture, identity: UUID) -> Import:
    """Return an import as it stands."""
    with core.context.database.begin() as c:
        found = store.find_import(c, core.caller, identity)
    assert found is not None
    return found
