"""HTML lists of the error and warning codes: cause, what to do, and an answer with the code; each has an address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from pipeline.api.openapi.error_codes import CODES
from pipeline.api.openapi.recorded import read_recorded
from pipeline.api.reference.account_error_advice import ACCOUNT_ERRORS
from pipeline.api.reference.error_advice import ERRORS, Advice
from pipeline.api.reference.markup import mark_code, render_example
from pipeline.api.reference.warning_advice import WARNINGS

_ERRORS = (
    "Errors of responses: <code>error_code</code>. "
    "Each response carries the address of its code in <code>help</code>."
)
_ACCOUNT_ERRORS = (
    "Errors of a post at one account: <code>accounts.states[].error.code</code>. They are not errors of a request. "
    "A code that is not listed here is listed above."
)
_WARNINGS = "Warnings: <code>warnings[].code</code>. They never stop a post."


def render_codes() -> Iterator[tuple[str, str]]:
    """Yield heading and HTML of each list."""
    yield "Error codes", _render_list(_ERRORS, "error", ERRORS)
    yield "Account errors", _render_list(_ACCOUNT_ERRORS, "error", ACCOUNT_ERRORS)
    yield "Warnings", _render_list(_WARNINGS, "warning", WARNINGS)


def _render_list(about: str, kind: str, advice: Mapping[str, Advice]) -> str:
    items = "\n".join(_render_code(kind, code, advice[code]) for code in sorted(advice))
    return f"<p>{about}</p>\n<dl>\n{items}\n</dl>"


def _render_code(kind: str, code: str, advice: Advice) -> str:
    anchor = f"{kind}-{code.lower()}"
    answers = list(_find_answers(code)) if kind == "error" else []
    statuses = (
        "".join(f" <small>{status}</small>" for status in CODES[code].statuses) if code in CODES else ""
    )
    examples = "".join(render_example(answer) for answer in answers)
    shown = f"<details><summary>Answer</summary>{examples}</details>" if examples else ""
    return (
        f'<div id="{anchor}"><dt><a href="#{anchor}"><code>{escape(code)}</code></a>{statuses}</dt>\n'
        f"<dd><p>{mark_code(advice.cause)}</p>\n<p><b>What to do:</b> {mark_code(advice.action)}</p>{shown}</dd></div>"
    )


def _find_answers(code: str) -> Iterator[Any]:
    errors = read_recorded().errors
    for name in sorted(errors):
        if name.partition(" ")[2] == code:
            yield errors[name]
