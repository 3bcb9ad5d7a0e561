"""Adds thumbnails for tests of the dashboard's pages."""

from __future__ import annotations

from uuid import UUID

from pipeline.runtime.context import Context
from pipeline.store.checks.checks import decide_check, open_check
from pipeline.store.database import new_id
from pipeline.store.files.files import finish_derived
from pipeline.store.files.thumbnails import open_thumbnail
from tests.pipeline.media import samples


def add_thumbnail(context: Context, workspace: UUID, *, width: int = 256) -> str:
    """Store the thumbnail of a good check in a workspace. Return its name: the id of the check, and an ending."""
    with context.database.begin() as c:
        check = open_check(c, workspace, "image", f"https://media.example/{new_id()}.jpg").id
        facts = {"content_type": "image/jpeg", "bytes": 9, "width": width, "height": 100}
        assert decide_check(c, check, "good", facts=facts, seen="ok")
        file = open_thumbnail(c, check)
    assert file is not None
    content = context.files.put(file, samples.webp((width, 100)))
    with context.database.begin() as c:
        assert finish_derived(c, file, content, None)
    return f"{check}.webp"
