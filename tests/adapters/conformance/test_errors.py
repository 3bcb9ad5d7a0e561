"""Error responses to the visible call: known codes have their class, every other response is an unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from tests.adapters.conformance.canned_server import (
    CannedResponse,
    CannedServer,
    finalize_against,
    finalize_at,
    run_canned_server,
)
from tests.adapters.conformance.conftest import CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.error_cases import (
    TABLE_CASES,
    UNDOCUMENTED_RESPONSES,
    UNLISTED_CODE_RESPONSES,
    VENDOR_CASES,
)
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation
from tests.adapters.scripted_server import closed_port

BY_NAME = {s.name: s for s in CASES}
ACCEPTED_STATUSES = {("tiktok creator video", 201), ("tiktok creator draft of a video", 201)}
"""Case and status of responses that are no error: 201 completes this upload, whatever its body."""


@pytest.fixture(scope="module")
def server() -> Iterator[CannedServer]:
    with run_canned_server() as found:
        yield found


def _prepare(environment: Environment, post_case: PostCase) -> DeliverySimulation:
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    return simulation


def _finalize_error(
    simulation: DeliverySimulation, server: CannedServer, response: CannedResponse
) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        finalize_against(simulation, server, response)
    shown = f"{caught.value} {caught.value!r}"
    simulation.outputs.append(shown)
    assert not simulation.list_leaks()
    return caught.value


@pytest.mark.parametrize("name", TABLE_CASES)
def test_every_known_code_has_its_class(environment: Environment, server: CannedServer, name: str) -> None:
    simulation = _prepare(environment, BY_NAME[name])
    wrong = [
        (code, error, wanted)
        for code, response, wanted in TABLE_CASES[name]()
        if type(error := _finalize_error(simulation, server, response)) is not wanted
    ]
    assert not wrong


@pytest.mark.parametrize("name", VENDOR_CASES)
def test_the_tables_say_what_the_vendors_pages_say(
    environment: Environment, server: CannedServer, name: str
) -> None:
    simulation = _prepare(environment, BY_NAME[name])
    wrong = [
        (s, error, wanted)
        for s, wanted in VENDOR_CASES[name]
        if type(error := _finalize_error(simulation, server, s)) is not wanted
    ]
    assert not wrong


@pytest.mark.parametrize("name", UNLISTED_CODE_RESPONSES)
def test_an_unlisted_code_after_the_visible_call_is_an_unknown_outcome(
    environment: Environment, server: CannedServer, name: str
) -> None:
    error = _finalize_error(_prepare(environment, BY_NAME[name]), server, UNLISTED_CODE_RESPONSES[name])
    assert type(error) is OutcomeUnknown


def test_nonsense_after_the_visible_call_is_an_unknown_outcome(
    environment: Environment, server: CannedServer, post_case: PostCase
) -> None:
    simulation = _prepare(environment, post_case)
    for response in UNDOCUMENTED_RESPONSES:
        if (post_case.name.partition(",")[0], response.status) not in ACCEPTED_STATUSES:
            error = _finalize_error(simulation, server, response)
            assert (type(error), "checking" in str(error)) == (OutcomeUnknown, False), response


def test_a_connection_that_was_never_made_is_unavailable(
    environment: Environment, post_case: PostCase
) -> None:
    simulation = _prepare(environment, post_case)
    with closed_port() as base, pytest.raises(Unavailable) as caught:
        finalize_at(simulation, base)
    assert caught.value.code == "platform_unreachable"


def test_every_platform_is_asked() -> None:
    assert {BY_NAME[name].platform for name in TABLE_CASES} == {s.platform for s in CASES} == set(Platform)
    assert set(UNLISTED_CODE_RESPONSES) == set(TABLE_CASES)
