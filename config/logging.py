"""Logging as text or JSON, with secrets redacted.

Redaction works on the finished line, so that it covers arguments, exceptions and nested values alike. It is a second
line of defence: the code does not log bodies, headers or credentials.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from threading import Event, Lock, Thread
from typing import TextIO

from pydantic import SecretStr

from config.groups import Log
from config.settings import Settings, list_values

REDACTED = "…"
BATCH = 0.05
"""Seconds."""
SHORTEST_SECRET = 8
"""Characters; redacting shorter values would hide ordinary words."""

_NAMES = (
    "access_?token|refresh_?token|id_token|fb_exchange_token|input_token|client_?secret|app_?secret|business_app_secret|"
    "client_assertion|code_verifier|password|passwd|api_?key|x-api-key|x-tt-token|access-token|secret|control_token|"
    "vault__keys|cookie|set-cookie"
)


def _has(*parts: str) -> Callable[[str, str], bool]:
    return lambda text, lower: any(part in (lower if part.islower() else text) for part in parts)


def _has_long_word(_: str, lower: str) -> bool:
    for part in lower.split("=")[:-1]:  # noqa: SIM110  a generator for each line takes three times as long (measured)
        if len(part) >= 43 and " " not in part[-43:]:  # noqa: PLR2004  the characters before a Fernet key's "="
            return True
    return False


PATTERNS: tuple[tuple[Callable[[str, str], bool], re.Pattern[str], str], ...] = (
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
        _has("EAA", "IGA", "IGQ", "ya29.", "1//", "act.", "rft.", "pina_", "pinr_", "AQ"),
        re.compile(r"\b(EAA|IG[AQ]|ya29\.|1//|act\.|rft\.|pin[ar]_|AQ)(?=[\w!.*-]*[0-9])[\w!.*-]{20,}"),
        rf"\1{REDACTED}",
    ),
    # a Fernet key: 32 bytes in url-safe base64
    (_has_long_word, re.compile(r"(?<![\w-])[\w-]{43}=(?!=)"), REDACTED),
)
"""Each with a test of the text and its lower-case copy that holds wherever it matches, at a tenth of the cost."""
_WORD = re.compile(r"[!#-~]+")
_PLAIN = logging.makeLogRecord({}).__dict__
_STANDARD_ATTRIBUTES = frozenset(_PLAIN) | {"message", "asctime", "taskName"}


def set_up_logging(log: Log, secrets: Iterable[str] = (), *, in_batches: bool = False) -> None:
    """Send all logging of this process to standard error, as `log` says, with `secrets` redacted.

    *in_batches*: as `BatchHandler` does, for a process with a line for each of thousands of requests a second.

    Facts that no line shows are not collected: the place in the code, thread and process (Python's Logging HOWTO,
    "Optimization", 2026-11-29).
    """
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    formatter = {"json": Json, "text": Text}[log.format](secrets)
    handler = BatchHandler(sys.stderr, formatter) if in_batches else logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs whole URLs, with codes and tokens
    logging.captureWarnings(capture=True)


def list_secrets(settings: Settings) -> list[str]:
    """Return every secret among the settings, for `set_up_logging`."""
    secrets = [v for v in list_values(settings).values() if isinstance(v, SecretStr)]
    return [part for secret in secrets for part in secret.get_secret_value().split(",")]


Fields = Mapping[str, object]


def log_event(
    log: logging.Logger, level: int, event: str, fields: Fields, each: Sequence[Fields] = ({},)
) -> None:
    """Log one line, ``EVENT name=value …``, or one for each of *each*, whose other fields follow.

    In JSON the fields are the record's. A value may come from a client; a list or tuple is one of ids, which are
    joined by commas.
    """
    if each and log.isEnabledFor(level):
        log.handle(EventRecord(log.name, level, event, fields, each))


class EventRecord(logging.LogRecord):
    """The record of an event: one line, or several. Its text is made when it is asked for, maybe on another thread.

    `LogRecord.__init__` takes four times as long (measured), for what no line shows.
    """

    def __init__(self, logger: str, level: int, event: str, fields: Fields, each: Sequence[Fields]) -> None:
        now = time.time()
        self.__dict__.update(_PLAIN)
        self.name, self.levelno, self.levelname = logger, level, logging.getLevelName(level)
        self.msg, self.fields, self.each = event, fields, each
        self.created, self.msecs = now, now % 1 * 1000

    def getMessage(self) -> str:  # noqa: N802  as logging calls it
        """Return a line ``EVENT name=value …`` for each."""
        return "\n".join(self.write_each(self.msg))

    def write_each(self, start: str) -> list[str]:
        """Return the text of each line after this start."""
        start = f"{start} {_write_fields(self.fields)}"
        return [f"{start} {_write_fields(more)}" if more else start for more in self.each]


def _write_fields(fields: Fields) -> str:
    text = " ".join([f"{n}={v if type(v) is str else _write(v)}" for n, v in fields.items()])
    if _is_plain(text, len(fields)):
        return text
    return " ".join([f"{name}={_quote(_write(value))}" for name, value in fields.items()])


def _write(value: object) -> str:
    if isinstance(value, (list, tuple)):  # `list | tuple` would build a union each time
        return ",".join(map(str, value))
    return "-" if value is None else str(value)


def _is_plain(text: str, words: int) -> bool:
    """Return True if no word would be quoted: what most lines are, seen at once."""
    has_gap = "= " in text or text.endswith("=")
    return (
        text.isascii() and text.isprintable() and '"' not in text and text.count(" ") < words and not has_gap
    )


def _quote(word: str) -> str:
    """Return the word, or a JSON string where it could be read as several fields or lines."""
    return word if _WORD.fullmatch(word) else json.dumps(word)


class Redactor:
    """Replaces known secrets, and text that looks like a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret may contain another.
        self._known = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, line: str) -> str:
        """Return the line with secrets replaced."""
        for secret in self._known:
            line = line.replace(secret, REDACTED)
        lower = line.casefold()
        for may_match, pattern, replacement in PATTERNS:
            if may_match(line, lower):
                line = pattern.sub(replacement, line)
        return line

    def redact_each(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the lines with secrets replaced. Most batches have none: they are looked at once, not line by line."""
        text = "\n".join(lines)
        lower = text.casefold()
        has_secret = any(secret in text for secret in self._known)
        if has_secret or any(may_match(text, lower) for may_match, *_ in PATTERNS):
            return [self(line) for line in lines]
        return lines


class BatchHandler(logging.StreamHandler[TextIO]):
    """Writes the lines of each `BATCH` at once: with a write for each line, `POST /posts` takes a fifth longer.

    A warning is written at once, with the lines before it. A process that is killed loses the lines of one batch.
    """

    def __init__(self, stream: TextIO, formatter: Text) -> None:
        super().__init__(stream)
        self._formatter = formatter
        self._records: deque[logging.LogRecord] = deque()
        self._has_records, self._writing = Event(), Lock()
        self._writer: Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record, without a lock, and its finished message: the arguments may change later."""
        if not isinstance(record, EventRecord):
            record.msg, record.args = record.getMessage(), None
        self._records.append(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._has_records.is_set():
            self._wake_writer()
        return True

    def flush(self) -> None:
        """Write the lines. Not under the handler's lock: requests go on while lines are formatted.

        A full disk or a closed stream fails no request: nothing could report it, and later lines are tried.
        """
        with self._writing, suppress(OSError, ValueError):
            lines = [*self._take_lines()]
            self.stream.write("".join([f"{line}\n" for line in self._formatter.redact_each(lines)]))
            self.stream.flush()

    def _take_lines(self) -> Iterator[str]:
        for record in [self._records.popleft() for _ in range(len(self._records))]:
            try:
                yield self._formatter.compose(record)
            except Exception:  # noqa: BLE001  as every handler of logging: a line must not fail what it is about
                self.handleError(record)

    def _wake_writer(self) -> None:
        if self._writer is None or not self._writer.is_alive():  # of a process that forked, it is not alive
            self._writer = Thread(target=self._write_batches, name="log", daemon=True)
            self._writer.start()
        self._has_records.set()

    def _write_batches(self) -> None:
        while self._has_records.wait():
            self._has_records.clear()
            time.sleep(BATCH)
            self.flush()


class Text(logging.Formatter):
    """One line per record, followed by its traceback."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._redact = Redactor(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  as logging calls it
        """Return the line, its time in UTC, to the millisecond."""
        return f"{_write_head(record)}  {record.message}"

    def compose(self, record: logging.LogRecord) -> str:
        """Format the whole record, each line of an event. The result is not redacted yet."""
        if isinstance(record, EventRecord):
            return "\n".join(record.write_each(f"{_write_head(record)}  {record.msg}"))
        return super().format(record)

    def redact_each(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the composed lines with secrets replaced."""
        return self._redact.redact_each(lines)

    def format(self, record: logging.LogRecord) -> str:
        """Format and redact the whole record."""
        [line] = self.redact_each([self.compose(record)])
        return line


class Json(Text):
    """One JSON object per record: at, level, logger, message, the fields of `extra`, and error with its traceback."""

    def redact_each(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the lines: each of their texts is redacted."""
        return lines

    def compose(self, record: logging.LogRecord) -> str:
        """Format each line of the record as JSON. Each text is redacted by itself, so that the result stays JSON."""
        if not isinstance(record, EventRecord):
            return self._compose(record, record.getMessage(), record.__dict__)
        each = zip(record.write_each(record.msg), record.each, strict=True)
        return "\n".join([self._compose(record, text, {**record.fields, **more}) for text, more in each])

    def _compose(self, record: logging.LogRecord, text: str, extra: Mapping[str, object]) -> str:
        fields: dict[str, object] = {
            "at": _format_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(text),
        }
        for name, value in extra.items():
            if name not in _STANDARD_ATTRIBUTES:
                plain = isinstance(value, bool | int | float) or value is None
                fields[name] = value if plain else self._redact(f"{name}={_write(value)}").partition("=")[2]
        if record.exc_info:
            fields["error"] = self._redact("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(fields, ensure_ascii=False)


def _write_head(record: logging.LogRecord) -> str:
    return f"{_format_time(record)} {record.levelname:8} {record.name}"


def _format_time(record: logging.LogRecord) -> str:
    return f"{_format_second(int(record.created))}.{int(record.msecs):03}Z"


@lru_cache(maxsize=2)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
