"""The words that a preview shows are those that the sandbox's ledger has of the live post."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.words import WritesWords
from pipeline.domain.delivery import State
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import POST_CASES
from tests.adapters.conformance.simulation import DeliverySimulation

BY_NAME = {case.name: case for case in POST_CASES}
CAPTION = (
    "قهوة الصباح <fresh> 珈琲の朝 (no. 7)\n\nWith #fjordcoffee at https://example.com/a_b?c=1 🫶 " + "x" * 80
)


CASES = [
    *("tiktok creator video", "tiktok creator photos, public", "tiktok business photos, public"),
    "tiktok creator draft of a video",
    *(
        "instagram carousel",
        "instagram story, image",
        "facebook video",
        "facebook story, video",
        "youtube video",
    ),
    *(
        "pinterest carousel, with a link",
        "linkedin document of a member",
        "linkedin text of an organization, link",
    ),
]


@pytest.mark.parametrize("name", CASES)
def test_the_words_are_those_of_the_live_post(environment: Environment, name: str) -> None:
    simulation = DeliverySimulation.create(environment, BY_NAME[name])
    simulation.draft = replace(simulation.draft, caption=CAPTION)
    adapter, _ = simulation.make_worker()
    assert isinstance(adapter, WritesWords)
    words = adapter.write_words(simulation.draft)
    assert simulation.run().state is State.PUBLISHED
    [line] = environment.list_live(simulation.account)
    live = line["extra"]
    shown = {line["caption"], live.get("title"), live.get("description")}  # where a platform has them
    if "body" in live:
        content = live["body"].get("content", {})
        shown.add((content.get("media") or content["article"]).get("title"))
    assert shown - {None, ""} == {words.text, words.title} - {""}
    assert tuple(live.get("tags") or ()) == words.tags
