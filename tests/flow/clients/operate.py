"""List dead letters and count what a filter selects, with the generated Python client: URL KEY."""

from __future__ import annotations

import sys
from typing import TypeVar

from slipway_operator_api_client import AuthenticatedClient
from slipway_operator_api_client.api.dead_letters import list_dead_letters, replay_dead_letters
from slipway_operator_api_client.models import (
    DeadLetterPageResponse,
    DryRun,
    ErrorCode,
    Failure,
    Filter,
    InvalidRequest,
    ReplayBody,
    ReplayOutcomeResponse,
)

T = TypeVar("T")


def expect(kind: type[T], found: object) -> T:
    assert isinstance(found, kind), found
    return found


def main(url: str, key: str) -> None:
    client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    page = expect(DeadLetterPageResponse, list_dead_letters.sync(client=client, limit=1)).data
    answer = replay_dead_letters.sync(client=client, body=ReplayBody(filter_=Filter()))
    counted = expect(DryRun, expect(ReplayOutcomeResponse, answer).data)
    assert counted.letters == sum(cause.letters for cause in page.causes)
    neither = expect(InvalidRequest, replay_dead_letters.sync(client=client, body=ReplayBody()))
    assert neither.error_code is ErrorCode.INVALID_PAYLOAD
    stranger = AuthenticatedClient(base_url=url, token="not.a-key")
    assert expect(Failure, list_dead_letters.sync(client=stranger)).error_code is ErrorCode.INVALID_TOKEN
    print(counted.letters)


if __name__ == "__main__":
    main(*sys.argv[1:])
