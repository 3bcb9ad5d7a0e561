"""The platform's own sentence comes with the error of every platform, without the secrets it quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.contract import Platform
from adapters.errors import AdapterError
from adapters.platform_message import MOST
from tests.adapters.conformance.canned_server import (
    CannedResponse,
    CannedServer,
    finalize_against,
    run_canned_server,
)
from tests.adapters.conformance.conftest import CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.simulation import DeliverySimulation

BY_NAME = {case.name: case for case in CASES}
SENTENCE = "We blocked this link because it may lead to spam."


def _graph(text: str) -> CannedResponse:
    error = {"code": 368, "message": "(#368)", "error_user_title": "Link blocked", "error_user_msg": text}
    return CannedResponse(status=400, body={"error": error})


REFUSALS: dict[str, Callable[[str], CannedResponse]] = {
    "tiktok creator photos, public": lambda text: CannedResponse(
        status=403, body={"data": {}, "error": {"code": "spam_risk", "message": text, "log_id": "1"}}
    ),
    "tiktok business video": lambda text: CannedResponse(
        status=200, body={"code": 40002, "message": text, "request_id": "1", "data": {}}
    ),
    "instagram image": _graph,
    "facebook feed post": _graph,
    "pinterest image, with a link": lambda text: CannedResponse(
        status=400, body={"code": 1, "message": text}
    ),
    "linkedin image of a member": lambda text: CannedResponse(
        status=400, body={"status": 400, "code": "MISSING_FIELD", "message": text}
    ),
}
"""A refusal of the visible call with a sentence, by post case. YouTube has its reason alone: Google quotes requests."""


@pytest.fixture(scope="module")
def server() -> Iterator[CannedServer]:
    with run_canned_server() as found:
        yield found


def _prepare(environment: Environment, name: str) -> DeliverySimulation:
    simulation = DeliverySimulation.create(environment, BY_NAME[name])
    simulation.run_until_ready()
    return simulation


def _refuse(simulation: DeliverySimulation, server: CannedServer, response: CannedResponse) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        finalize_against(simulation, server, response)
    return caught.value


@pytest.mark.parametrize("name", REFUSALS)
def test_the_sentence_stands_beside_our_words(
    environment: Environment, server: CannedServer, name: str
) -> None:
    error = _refuse(_prepare(environment, name), server, REFUSALS[name](SENTENCE))
    assert (error.platform_message or "").endswith(SENTENCE)
    assert SENTENCE not in error.message


@pytest.mark.parametrize("name", REFUSALS)
def test_a_quoted_token_a_signed_url_and_control_characters_never_arrive(
    environment: Environment, server: CannedServer, name: str
) -> None:
    simulation = _prepare(environment, name)
    token = simulation.account.credentials.access_token.get_secret_value()
    hostile = f"\x1b[2J{token} https://cdn.example.com/v.mp4?X-Amz-Signature=abc123 \x00 {'long ' * 500}"
    error = _refuse(simulation, server, REFUSALS[name](hostile))
    found = error.platform_message or ""
    assert "https://cdn.example.com/v.mp4?[redacted]" in found
    assert len(found) <= MOST
    assert found.isprintable()
    simulation.outputs += [found, repr(error), str(vars(error))]
    assert not simulation.list_leaks()


def test_youtubes_reason_is_its_sentence(environment: Environment, server: CannedServer) -> None:
    entry = {"domain": "youtube.quota", "reason": "quotaExceeded", "message": "quoted request"}
    response = CannedResponse(status=403, body={"error": {"code": 403, "errors": [entry]}})
    error = _refuse(_prepare(environment, "youtube video"), server, response)
    assert error.platform_message == "quotaExceeded"


def test_an_answer_without_the_envelope_has_no_sentence_of_the_platform(
    environment: Environment, server: CannedServer
) -> None:
    simulation = _prepare(environment, "pinterest image, with a link")
    error = _refuse(simulation, server, CannedResponse(status=400, body={"error": SENTENCE}))
    assert error.platform_message is None


def test_every_platform_is_asked() -> None:
    asked = {BY_NAME[name].platform for name in REFUSALS}
    assert asked | {Platform.YOUTUBE} == set(Platform)
