"""What an explanation asks for: whose turn it is, and the one thing to do as each caller can do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Turn(StrEnum):
    """Whose turn it is."""

    PLATFORM = "platform"
    CUSTOMER = "customer"
    OPERATOR = "operator"
    US = "us"


class Right(StrEnum):
    """The right that a key needs."""

    READ = "read"
    WRITE = "write"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the HTTP API. ``body`` None: there is none, or its content is for the caller to say."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    right: Right = Right.PUBLISH


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """The one thing to do, as each caller can do it.

    The command line has ``command``. A page has the first of ``steps`` that is a button of the delivery (by its verb)
    or a page (by its path). A key has ``call``; if there is none for keys, ``ask`` says whom to ask, or is empty where
    a key has nothing to do.
    """

    says: str
    command: str
    steps: tuple[str, ...] = ()
    call: Call | None = None
    ask: str = ""
