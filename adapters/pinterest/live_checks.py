"""Read-only checks of a connected Pinterest account."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from adapters.contract import Account, PlatformSettings
from adapters.error_table import Phase
from adapters.http import HttpClient
from adapters.live_check import POST_NOT_FOUND_AGAIN, ConnectionChecks, Finding, LiveCheck, ok, warn
from adapters.pinterest.errors import SERVICE, translate_error
from adapters.pinterest.wire import Board
from adapters.transport import Request, bearer_header, parse_response, send


def _check_board(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    board = account.settings.get("default_board")
    request = Request(
        method="GET",
        url=f"{settings.hosts['api']}/boards" + (f"/{board}" if board else ""),
        headers=bearer_header(account.credentials.access_token.get_secret_value()),
    )
    response = send(http, SERVICE, request, Phase.PREPARE)
    if board:
        name = parse_response(response, Board, SERVICE, Phase.PREPARE, translate_error).name
        yield ok("limits", f"the default board is {name}")
    elif response.status == HTTPStatus.OK:
        yield warn("limits", "no default board: each post has to name one")
    else:
        raise translate_error(response, Phase.PREPARE)
    left = response.headers.get("x-ratelimit-remaining")
    yield ok("quota", f"{left} more reads this minute" if left else "Pinterest reports no numbers here")


LIVE_CHECKS = (
    ConnectionChecks(
        connection="user",
        required_scopes=("pins:write", "boards:read"),
        optional_scopes={"pins:read": POST_NOT_FOUND_AGAIN},
        checks=(LiveCheck(name="limits", run=_check_board),),
        only_live_post=(
            "whether `link` comes back with its query",
            "the order and the lag of `/boards/{id}/pins` and `/pins`",
            "whether a carousel's pin takes a link in addition to its cards' links",
            "whether the app has Trial or Standard access",
        ),
    ),
)
