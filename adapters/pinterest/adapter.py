"""The Pinterest adapter: a draft becomes one pin on one board, with an image, a carousel of images, or a video.

PlatformSettings.hosts: ``api`` (https://api.pinterest.com/v5), ``www`` (consent page and pins' addresses,
https://www.pinterest.com). A video's bytes go where ``POST /media`` says. No options. Accounts: ``connection`` is
``user``; ``settings`` may hold ``default_board`` and holds ``boards``. Never tried against live Pinterest: README.md.

The Pinterest section of a post request.

Read-only checks of a connected Pinterest account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from pydantic import Field

from adapters.base import ArmedPublish, Publish, PublishingAdapter
from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Published,
)
from adapters.error_table import Phase
from adapters.errors import PermissionMissing, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.listing import Listing
from adapters.live_check import POST_NOT_FOUND_AGAIN, ConnectionChecks, Finding, LiveCheck, ok, warn
from adapters.pinterest import limits, lookup, payload
from adapters.pinterest.checkpoint import Checkpoint, Step, choose_next_step
from adapters.pinterest.client import Client
from adapters.pinterest.errors import INTERRUPTED, SERVICE, translate_error
from adapters.pinterest.oauth import OAuth
from adapters.pinterest.problems import build_no_board_message, find_problems
from adapters.pinterest.wire import Board
from adapters.post_options import PostOptions, WebUrl, at_most
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


MAX_TAGS = 30


class PinterestOptions(PostOptions):
    """Options of a pin; when at least one account is Pinterest."""

    platform: ClassVar[Platform] = Platform.PINTEREST

    defaults: ClassVar[Mapping[str, Any]] = {"tags": []}

    board_id: str | None = Field(None, min_length=1, max_length=128)
    board_section_id: str | None = Field(
        None, pattern=r"^\d{1,128}$", description="A section of the pin's board; digits only."
    )
    title: str | None = Field(None, max_length=100)
    link: WebUrl | None = None
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=MAX_TAGS),
            at_most(MAX_TAGS),
        ]
        | None
    ) = None


class Pinterest(OAuth, PublishingAdapter[Checkpoint, Client]):
    """Publishes pins to the boards of a Pinterest account; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.PINTEREST
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = PinterestOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_problems = staticmethod(find_problems)
    find_words = staticmethod(payload.write_words)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Send one request: a read of the section, or for a video registration, upload, or a status read."""
        state, client = self._open_on_board(draft, account, checkpoint)
        match _choose_next_step(draft, state):
            case Step.SECTION:
                return _check_section(draft, state, client).to_pending()
            case Step.REGISTER:
                return _register(state, client).to_pending()
            case Step.UPLOAD:
                return _upload(draft, state, client)
            case Step.POLL:
                status = client.read_status(state.media_id or "")
                return lookup.restart_if_ended(state, lookup.interpret_status(state, status))
            case Step.DONE:
                return state.to_ready()

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Create the pin with ``POST /pins``, the one visible call."""
        state, client = self._open_on_board(draft, account, checkpoint)
        if _choose_next_step(draft, state) is not Step.DONE or state.board_id is None:
            raise Unavailable("The pin is not prepared.", code="not_prepared")
        created = client.create_pin(payload.build_pin(draft, state.board_id, state.media_id))
        return Published(remote_id=created.id, url=client.build_url(created.id))

    def _look_unarmed(self, publish: Publish[Checkpoint, Client]) -> LookResult:
        state = publish.state
        if _choose_next_step(publish.draft, state) is not Step.POLL:
            return state.to_ready()
        return lookup.interpret_status(state, publish.client.read_status(state.media_id or ""))

    def _look_armed(self, publish: ArmedPublish[Checkpoint, Client]) -> LookResult:
        board = publish.state.board_id or payload.choose_board(publish.draft, publish.account)
        if board is None:
            return CannotTell(reason="no board is known that the pin could be on", is_final=True)
        return lookup.find_pin(publish, board)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the account's pins since *since*, compared with the draft."""
        board = payload.choose_board(draft, account)
        return lookup.list_posts(self._build_client(account), draft, board, since)

    def _build_client(self, account: Account) -> Client:
        return Client(self._http, self._settings, account.credentials.access_token)

    def _open_on_board(
        self, draft: Draft, account: Account, checkpoint: CheckpointData
    ) -> tuple[Checkpoint, Client]:
        state, client = self._open(account, checkpoint)
        board = state.board_id or payload.choose_board(draft, account)
        if board is None:
            raise Rejected(build_no_board_message(account), code="validation_failed")
        return state.replace(board_id=board), client


def _choose_next_step(draft: Draft, state: Checkpoint) -> Step:
    has_section = payload.get_section(draft) is not None
    return choose_next_step(state, is_video=draft.kind == "video", has_section=has_section)


def _check_section(draft: Draft, state: Checkpoint, client: Client) -> Checkpoint:
    """Require that the board has the section: the refusal of a pin for it is documented nowhere."""
    try:
        client.list_pins(state.board_id or "", None, payload.get_section(draft))
    except (Rejected, PermissionMissing) as error:
        if error.http_status == HTTPStatus.NOT_FOUND:
            raise Rejected(
                "Pinterest does not find the section on the pin's board.",
                code="section_not_found",
                next_action="Choose a section of the board, or leave board_section_id out.",
                **error.reported,
            ) from None
        # pins may be written, and perhaps not read: the pin's creation decides
    return state.replace(section_read=True)


def _register(state: Checkpoint, client: Client) -> Checkpoint:
    target = client.register_video()
    return state.replace(
        media_id=target.media_id, upload_url=target.upload_url, upload_parameters=target.upload_parameters
    )


def _upload(draft: Draft, state: Checkpoint, client: Client) -> Pending:
    try:
        client.upload(draft.media[0], state.upload_url or "", state.upload_parameters)
    except Unavailable as error:
        if error.code != INTERRUPTED:
            raise
        return lookup.restart(state, error)
    done = state.replace(sent=True, upload_url=None, upload_parameters={}, polls=0)
    return done.to_pending(limits.FIRST_POLL)
