"""What an answer of the upload session means while nothing is visible yet: go on, ask again, start anew, or give up."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

from adapters.contract import Pending, PrepareResult, Ready
from adapters.error_table import Phase
from adapters.errors import AdapterError, Retryable, Unavailable
from adapters.http import Response
from adapters.transport import NO_RESPONSE
from adapters.youtube import limits
from adapters.youtube.checkpoint import Progress
from adapters.youtube.errors import of_answer, row_of, unclear
from adapters.youtube.upload import Complete, Garbled, Gone, Heard, Refused, Stored

_SPENT = frozenset({"quota_exhausted", "daily_limit"})


def after(at: Progress, ask: Callable[[], Heard], *, probing: bool) -> PrepareResult:
    """Makes one request to the session and says how ``prepare`` goes on.

    A cut or a passing failure is no error yet: the session is asked and gone on with, so that a long upload over a
    poor line does not use up the delivery's tries. Unavailable after too many of them in a row.
    """
    try:
        heard = ask()
    except Unavailable as error:
        if error.platform_code != NO_RESPONSE:
            raise
        return _cut(at, error)
    match heard:
        case Stored():
            return _stored(at, heard, probing=probing)
        case Complete(video=video):  # finalize will send nothing, and look will tell what became of it
            return Ready(checkpoint=at.replace(video_id=video.id).to_dict())
        case Gone():
            return _anew(
                at, Unavailable("YouTube no longer knows the upload session.", code="upload_expired")
            )
        case Garbled(status=status):
            return _cut(at, unclear(Phase.PREPARE, platform_code="unreadable_answer", status=status))
        case Refused(answer=answer):
            return _refused(at, answer, probing=probing)


def is_broken(answer: Response) -> bool:
    """A failure on Google's side: says nothing about the upload."""
    return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def ends_session(answer: Response) -> bool:
    """As the answer to a probe: the session has ended without a video, as far as this answer can be believed.

    A spent quota is one of them because a session repeats its last word: it would say so for ever.
    """
    case = row_of(answer)
    return not is_broken(answer) and (case is None or case.of_insert or case.code in _SPENT)


def _stored(at: Progress, heard: Stored, *, probing: bool) -> PrepareResult:
    now = at.stored(heard.session, heard.offset, time.time())
    if now.offset >= now.size:
        return _cut(now, Unavailable("YouTube has every byte and does not conclude.", code="upload_stuck"))
    if not probing and now.offset <= at.offset:
        return _cut(now, Unavailable("YouTube stores nothing of what it is sent.", code="upload_stuck"))
    if heard.wait is not None:
        return Pending(checkpoint=now.to_dict(), wait=heard.wait)
    kept = now.to_dict()
    return Ready(checkpoint=kept) if now.only_last_left else Pending(checkpoint=kept)


def _refused(at: Progress, answer: Response, *, probing: bool) -> PrepareResult:
    error, case = of_answer(answer, Phase.PREPARE), row_of(answer)
    if is_broken(answer) or (case is None and not probing):  # the session itself knows better
        return _cut(at, error)
    if probing and ends_session(answer) and not (case and case.of_insert):
        return _anew(at, error)
    raise error


def _cut(at: Progress, error: AdapterError) -> Pending:
    if at.cuts >= limits.CUTS:
        raise error
    told = error.retry_after if isinstance(error, Retryable) else None
    wait: timedelta = told or limits.CUT_PAUSE * int(2**at.cuts)
    return Pending(checkpoint=at.replace(unsure=True, cuts=at.cuts + 1).to_dict(), wait=wait)


def _anew(at: Progress, error: AdapterError) -> Pending:
    """From scratch, a bounded number of times. Harmless: without its last chunk a session never makes a video."""
    if at.restarts >= limits.RESTARTS:
        raise error
    return Pending(checkpoint=Progress(restarts=at.restarts + 1).to_dict())
