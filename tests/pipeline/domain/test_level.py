"""The lowest level that understands a post or a steering job, and a row of the table for each thing that they have."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.api.posts.account_entries import AccountRef
from pipeline.api.posts.media_types import Document, Slideshow, Text, Video
from pipeline.api.posts.schema import OptionsBody, PostBody
from pipeline.domain.hold import Hold
from pipeline.domain.level import LEVEL, LEVELS, find_job_level, find_level, lower_level
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.options import PLATFORMS

VIDEO = {"type": "video", "url": "https://cdn.example.com/mug.mp4"}


def list_sent_fields() -> set[str]:
    """Return every field of a post's body and each option of its sections, as the table names them."""
    body: type[OptionsBody] = PostBody
    plain = body.model_fields.keys() - body.option_models.keys() - {"media"}
    forms = (Video, Slideshow, Text, Document)
    media = {name for form in forms for name in form.model_fields}
    media |= {f"type.{name}" for name in body.tags["media"]}
    sections = {
        f"{section}.{name}" for section, model in body.option_models.items() for name in model.model_fields
    }
    entries = AccountRef.model_fields.keys() - {"id"}
    return {
        *plain,
        *sections,
        *(f"media.{name}" for name in media),
        *(f"accounts.{name}" for name in entries),
    }


def list_steering_names() -> set[str]:
    """Return each verb, field of a filter and argument that a steering job may have."""
    now, job = datetime.now(UTC), UUID(int=1)
    arguments = Arguments(
        shift=timedelta(hours=1),
        start=now,
        end=now,
        why="why",
        per_minute=1.0,
        undoes=job,
        undone=Verb.PAUSE,
        to_times=True,
    )
    assert None not in {getattr(arguments, one.name) for one in fields(arguments)}, "each is given"
    filters = {one.name for one in fields(ListFilter)} - {"scope", "workspace"}
    return {
        *(f"verb.{verb}" for verb in Verb),
        *(f"filter.{name}" for name in filters),
        *(f"argument.{name}" for name in arguments.to_dict()),
    }


def test_the_table_has_a_row_for_each_name_and_no_other() -> None:
    """A field without a row is sent by workers that do not know it: raise LEVEL and add it there."""
    assert set(PostBody.option_models) == set(PLATFORMS)
    assert set(LEVELS) == {*list_sent_fields(), *(f"hold.{hold}" for hold in Hold), *list_steering_names()}
    assert set(LEVELS.values()) == set(range(1, LEVEL + 1))


@pytest.mark.parametrize(
    ("media", "options", "post_wide", "level"),
    [
        ({}, {}, [], 1),
        ({"duration_sec": 3.0}, {"tiktok": {"title": "Mug", "privacy_level": "SELF_ONLY"}}, [], 1),
        ({}, {"youtube": {}}, [], 1),
        ({}, {"youtube": {"privacy": "private"}}, [], 2),
        ({"alt_texts": ["A mug"]}, {}, [], 2),
        ({"cover": 1.5}, {}, [], 3),
        ({}, {"pinterest": {"board_id": "1", "board_section_id": "2"}}, [], 4),
        ({}, {}, ["first_comment"], 5),
        ({"type": "document", "title": "Catalogue"}, {}, [], 4),
        ({"type": "of a later version"}, {}, [], LEVEL),
        ({}, {"threads": {"reply_control": "everyone"}}, [], LEVEL),
    ],
)
def test_the_newest_thing_in_a_post_decides(
    media: dict[str, Any], options: dict[str, Any], post_wide: list[str], level: int
) -> None:
    assert find_level(VIDEO | media, options, post_wide=post_wide) == level


def test_a_hold_raises_the_level_of_what_it_holds() -> None:
    assert find_level(VIDEO, {}, holds=[Hold.PAUSED]) == 1
    assert find_level(VIDEO, {}, holds=["of a later version"]) == LEVEL


@pytest.mark.parametrize(
    ("verb", "filters", "arguments", "level"),
    [
        ("cancel", ["state", "text"], [], 1),
        ("undo", ["state"], ["undoes", "undone"], 4),
        ("archive", [], [], LEVEL),
        ("cancel", ["a field of a later version"], [], LEVEL),
        ("cancel", [], ["an argument of a later version"], LEVEL),
    ],
)
def test_the_newest_thing_in_a_steering_job_decides(
    verb: str, filters: list[str], arguments: list[str], level: int
) -> None:
    assert find_job_level(verb, filters, arguments) == level


def test_a_process_can_lower_its_level_and_not_raise_it() -> None:
    assert [lower_level(most) for most in (0, 1, LEVEL, LEVEL + 1)] == [LEVEL, 1, LEVEL, LEVEL]
