"""Logging as text or JSON, with secrets redacted.

Redaction works on the finished line, so that it covers arguments, exceptions and nested values alike. It is a second
line of defence: the code does not log bodies, headers or credentials.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, SecretStr

from config.groups import Log
from config.settings import Settings

REDACTED = "…"
SHORTEST_SECRET = 8
"""Characters; redacting shorter values would hide ordinary words."""

_NAMES = (
    "access_?token|refresh_?token|id_token|fb_exchange_token|input_token|client_?secret|app_?secret|business_app_secret|"
    "client_assertion|code_verifier|password|passwd|api_?key|x-api-key|x-tt-token|access-token|secret|control_token|"
    "vault__keys|cookie|set-cookie"
)


def _has(*parts: str) -> Callable[[str], bool]:
    return lambda lower: any(part in lower for part in parts)


def _has_long_word(lower: str) -> bool:
    return any("=" in word[43:] for word in lower.split())


PATTERNS: tuple[tuple[Callable[[str], bool], re.Pattern[str], str], ...] = (
    # Authorization: Bearer …, in a header line, a dict's repr or JSON
    (
        _has("bearer", "basic", "oauth"),
        re.compile(r"(?i)\b(bearer|basic|oauth)\s+[\w.~+/=!%-]{8,}"),
        rf"\1 {REDACTED}",
    ),
    (
        _has("authorization"),
        re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)(?!bearer|basic|oauth)[^\s\"',}]+"),
        rf"\1{REDACTED}",
    ),
    # name=value in a query string, "name": "value" in JSON, 'name': 'value' in a repr
    (
        _has("token", "secret", "assertion", "verifier", "passw", "key", "cookie"),
        re.compile(rf"(?i)\b({_NAMES})([\"']?\s*[=:]\s*b?[\"']?)[^\s\"'&,;)}}\]]+"),
        rf"\1\2{REDACTED}",
    ),
    # scheme://user:password@host
    (_has("://"), re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+@"), rf"\1{REDACTED}@"),
    # our API keys: the first half is public and identifies the key
    (_has("slw_live_"), re.compile(r"\b(slw_live_[0-9a-f]+\.)[\w-]+"), rf"\1{REDACTED}"),
    # tokens in the platforms' formats: Meta, Google (access, refresh), TikTok (access, refresh), Pinterest, LinkedIn
    (
        _has("eaa", "iga", "igq", "ya29.", "1//", "act.", "rft.", "pina_", "pinr_", "aq"),
        re.compile(r"\b(EAA|IG[AQ]|ya29\.|1//|act\.|rft\.|pin[ar]_|AQ)(?=[\w!.*-]*[0-9])[\w!.*-]{20,}"),
        rf"\1{REDACTED}",
    ),
    # a Fernet key: 32 bytes in url-safe base64
    (_has_long_word, re.compile(r"(?<![\w-])[\w-]{43}=(?!=)"), REDACTED),
)
"""Each with what the line has, in one case, wherever it matches: that takes a tenth of the time to find out."""
_WORD = re.compile(r"[!#-~]+")
_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up_logging(log: Log, secrets: Iterable[str] = ()) -> None:
    """Send all logging of this process to standard error, as `log` says, with `secrets` redacted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter({"json": Json, "text": Text}[log.format](secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs whole URLs, with codes and tokens
    logging.captureWarnings(capture=True)


def list_secrets(settings: Settings) -> list[str]:
    """Return every secret among the settings, for `set_up_logging`."""
    found = []
    for group in settings.__dict__.values():
        if isinstance(group, BaseModel):
            secret = [v.get_secret_value() for v in group.__dict__.values() if isinstance(v, SecretStr)]
            found += [part for value in secret for part in value.split(",")]
    return found


def log_event(log: logging.Logger, level: int, event: str, fields: Mapping[str, object]) -> None:
    """Log one line, ``EVENT name=value …``; in JSON the fields are the record's. A value may be what a client sent."""
    words = " ".join(f"{name}={_quote(value)}" for name, value in fields.items())
    log.log(level, "%s %s", event, words, extra=dict(fields))


def _quote(value: object) -> str:
    """Return the value as one word, or as a JSON string where it could be read as several fields or lines."""
    text = "-" if value is None else str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text)


class Redactor:
    """Replaces known secrets and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret may contain another.
        known = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, line: str) -> str:
        """Return the line with secrets replaced."""
        if self._known:
            line = self._known.sub(REDACTED, line)
        lower = line.casefold()
        for may_match, pattern, replacement in PATTERNS:
            if may_match(lower):
                line = pattern.sub(replacement, line)
        return line


class Text(logging.Formatter):
    """One line per record, followed by its traceback."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s  %(message)s")
        self._redact = Redactor(secrets)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """Format the time in UTC, to the millisecond."""
        return _format_time(record)

    def format(self, record: logging.LogRecord) -> str:
        """Format and redact the whole record."""
        return self._redact(super().format(record))


class Json(logging.Formatter):
    """One JSON object per record: at, level, logger, message, the fields of `extra`, and error with its traceback."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Format the record as JSON. Each text is redacted by itself, so that the result stays JSON."""
        fields: dict[str, object] = {
            "at": _format_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD_ATTRIBUTES:
                plain = isinstance(value, bool | int | float) or value is None
                fields[name] = value if plain else self._redact(f"{name}={value}").partition("=")[2]
        if record.exc_info:
            fields["error"] = self._redact("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(fields, ensure_ascii=False)


def _format_time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
