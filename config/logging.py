"""Logging as the settings say: lines for people or JSON for machines, and never a secret in either.

Redaction works on the finished line, so that a secret in an argument, an exception or a nested value is caught alike.
It is the net, not the rule: the code does not log bodies, headers or credentials in the first place.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, SecretStr

from config.settings import Log, Settings

HIDDEN = "…"
SHORTEST_SECRET = 8
"""Characters; hiding shorter values wherever they occur would eat ordinary words."""

_NAMES = (
    "access_?token|refresh_?token|id_token|fb_exchange_token|input_token|client_?secret|app_?secret|business_app_secret|"
    "client_assertion|code_verifier|password|passwd|api_?key|x-api-key|x-tt-token|access-token|secret|control_token|"
    "vault__keys|cookie|set-cookie"
)
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization: Bearer …, in a header line, a dict's repr or JSON
    (re.compile(r"(?i)\b(bearer|basic|oauth)\s+[\w.~+/=!%-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)(?!bearer|basic|oauth)[^\s\"',}]+"),
        rf"\1{HIDDEN}",
    ),
    # name=value in a query string, "name": "value" in JSON, 'name': 'value' in a repr
    (re.compile(rf"(?i)\b({_NAMES})([\"']?\s*[=:]\s*b?[\"']?)[^\s\"'&,;)}}\]]+"), rf"\1\2{HIDDEN}"),
    # scheme://user:password@host
    (re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    # our keys: the first half is public and helps to find the key
    (re.compile(r"\b(slw_live_[0-9a-f]+\.)[\w-]+"), rf"\1{HIDDEN}"),
    # tokens as the platforms shape them: Meta, Google (access, refresh), TikTok (access, refresh), Pinterest, LinkedIn
    (
        re.compile(
            r"\b(EAA|IG[AQ]|ya29\.|1//|act\.|rft\.|pin[ar]_|AQ)(?=[\w!.*-]*[0-9])[\w!.*-]{20,}",
        ),
        rf"\1{HIDDEN}",
    ),
    # a Fernet key: 32 bytes in url-safe base64
    (re.compile(r"(?<![\w-])[\w-]{43}=(?!=)"), HIDDEN),
)
_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up(log: Log, secrets: Iterable[str] = ()) -> None:
    """Send all logging of this process to standard error, as `log` says, with `secrets` hidden wherever they occur."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter({"json": Json, "text": Text}[log.format](secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level)
    logging.getLogger("urllib3").setLevel(
        logging.INFO
    )  # below that it writes whole URLs, codes and tokens included
    logging.captureWarnings(capture=True)


def secrets_of(settings: Settings) -> list[str]:
    """Every secret among the settings, for `set_up`."""
    found = []
    for group in settings.__dict__.values():
        if isinstance(group, BaseModel):
            secret = [v.get_secret_value() for v in group.__dict__.values() if isinstance(v, SecretStr)]
            found += [part for value in secret for part in value.split(",")]
    return found


class Redactor:
    """Hides what looks like a secret, and what is known to be one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret may stand inside another.
        known = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, line: str) -> str:
        """The line without secrets."""
        if self._known:
            line = self._known.sub(HIDDEN, line)
        for pattern, instead in PATTERNS:
            line = pattern.sub(instead, line)
        return line


class Text(logging.Formatter):
    """One line a record, for people; a traceback below it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s  %(message)s")
        self._redact = Redactor(secrets)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """UTC, to the millisecond."""
        return _time(record)

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, redacted as a whole."""
        return self._redact(super().format(record))


class Json(logging.Formatter):
    """One JSON object a record: at, level, logger, message, what was given as `extra`, and error with its traceback."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object; its texts are redacted one by one, so that it stays JSON."""
        fields: dict[str, object] = {
            "at": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in _OF_EVERY_RECORD:
                plain = isinstance(value, bool | int | float) or value is None
                fields[name] = value if plain else self._redact(f"{name}={value}").partition("=")[2]
        if record.exc_info:
            fields["error"] = self._redact("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(fields, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
