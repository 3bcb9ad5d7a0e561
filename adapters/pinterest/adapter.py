"""Pinterest: a draft becomes one pin on one board: an image, a carousel of images, or a video.

PlatformSettings.hosts: ``api`` (https://api.pinterest.com/v5), ``www`` (consent page and pins' addresses,
https://www.pinterest.com). A video's bytes go where ``POST /media`` says. No options. Accounts: ``connection`` is
``user``; ``settings`` may hold ``default_board`` and holds ``boards``. Never tried against live Pinterest: README.md.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import ClassVar

from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    Checkpoint,
    Draft,
    Finalized,
    Pending,
    Platform,
    PlatformSettings,
    Prepared,
    Problem,
    Published,
    Ready,
    Seen,
)
from adapters.errors import Rejected, Unavailable
from adapters.http import Client
from adapters.oauth_mixin import Connecting
from adapters.pinterest import limits
from adapters.pinterest import payload as pin
from adapters.pinterest import problems as rules
from adapters.pinterest.checkpoint import Next, Progress, judged, next_step, prepared, renewed
from adapters.pinterest.client import Calls
from adapters.pinterest.errors import INTERRUPTED
from adapters.pinterest.lookup import search, url_of
from adapters.pinterest.oauth import Login


class Pinterest(Connecting):
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = Platform.PINTEREST
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._login = Login(client=client, settings=settings)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Every limit that the facts at hand show to be broken."""
        return rules.problems(draft, account)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Prepared:
        """Nothing for images; a video is registered, sent and waited for, one request a call."""
        at, calls = self._begun(draft, account, checkpoint), self._calls(account)
        match _next(draft, at):
            case Next.REGISTER:
                return Pending(checkpoint=_registered(at, calls).checkpoint())
            case Next.UPLOAD:
                return _uploaded(draft, at, calls)
            case Next.POLL:
                return prepared(at, judged(at, calls.media(at.media_id or "")))
            case Next.NOTHING:
                return Ready(checkpoint=at.checkpoint())

    def finalize(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Finalized:
        """``POST /pins``, and nothing after it."""
        at = self._begun(draft, account, checkpoint)
        if _next(draft, at) is not Next.NOTHING or at.board_id is None:
            raise Unavailable("The pin is not prepared.", code="not_prepared")
        made = self._calls(account).create_pin(pin.body(draft, at.board_id, at.media_id))
        return Published(remote_id=made.id, url=url_of(made.id, self._settings.hosts["www"]))

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: Checkpoint,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> Seen:
        """Not armed: Ready means that ``prepare`` has something to do again. Armed: the board is searched."""
        at, calls = Progress.model_validate(checkpoint), self._calls(account)
        if armed_at is None:
            if _next(draft, at) is not Next.POLL:
                return Ready(checkpoint=at.checkpoint())
            return judged(at, calls.media(at.media_id or ""))
        board = at.board_id or pin.board_of(draft, account)
        if board is None:
            return CannotTell(reason="No board is known that the pin could be on")
        return search(calls, draft, board, armed_at, taken, self._settings.hosts["www"])

    def _begun(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Progress:
        at = Progress.model_validate(checkpoint)
        board = at.board_id or pin.board_of(draft, account)
        if board is None:
            raise Rejected(rules.no_board(account), code="validation_failed")
        return at.then(board_id=board)

    def _calls(self, account: Account) -> Calls:
        return Calls(self._client, self._settings.hosts["api"], account.credentials.access_token)


def _next(draft: Draft, at: Progress) -> Next:
    return next_step(at, video=draft.kind == "video")


def _registered(at: Progress, calls: Calls) -> Progress:
    place = calls.register()
    return at.then(
        media_id=place.media_id, upload_url=place.upload_url, upload_parameters=place.upload_parameters
    )


def _uploaded(draft: Draft, at: Progress, calls: Calls) -> Pending:
    try:
        calls.upload(draft.media[0], at.upload_url or "", at.upload_parameters)
    except Unavailable as error:
        if error.code != INTERRUPTED:
            raise
        return renewed(at, error)
    done = at.then(sent=True, upload_url=None, upload_parameters={}, polls=0)
    return Pending(checkpoint=done.checkpoint(), wait=limits.FIRST_POLL)
