"""Render the result of a chaos run: text, JSON, and an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.chaos.fault_injector import Tally
from tests.chaos.judge import VIOLATIONS, Verdict, percentile

LEAST_ARMED = 20
"""Kills between arm and answer that a run needs to count."""
LEAST_MET = 3
"""Aimed pauses whose next holder was there that a run needs to count."""


ONLY = AIMS, SANDBOX = ("aims", "sandbox")
"""Classes of faults that a run may have alone."""


def is_enough(tally: Tally, only: str | None) -> bool:
    """Return whether enough went wrong for a run to count."""
    has_kills = only is not None or tally.armed >= LEAST_ARMED
    return has_kills and (only == SANDBOX or tally.met >= LEAST_MET)


def build_report(
    verdict: Verdict, tally: Tally, about: Mapping[str, Any], only: str | None = None
) -> dict[str, Any]:
    """Return the whole result as JSON-compatible data. *only*: the one class of faults (``ONLY``); None: all."""
    word = "no run" if not is_enough(tally, only) else "kept" if verdict.stands else "broken"
    return {
        "verdict": "broken" if verdict.violations else word,
        "kills_between_arm_and_answer": tally.armed,
        "pauses_that_met_the_next_holder": tally.met,
        "deliveries": {
            "submitted": verdict.submitted,
            "accepted": verdict.accepted,
            "refused": verdict.refused,
            "unanswered": verdict.unanswered,
            "live_exactly_once": verdict.live_once,
            "cancelled": verdict.cancelled,
            **{what: verdict.count(what) for what in VIOLATIONS},
            "left_to_a_person": sum(verdict.left.values()),
        },
        "lateness_s": {
            f"p{part * 100:g}" if part < 1 else "max": round(percentile(verdict.lateness, part), 2)
            for part in (0.5, 0.95, 0.99, 1.0)
        },
        "left_to_a_person": dict(verdict.left.most_common()),
        "faults": [asdict(fault) for fault in verdict.violations],
        "strikes": dict(tally.injected.most_common()),
        "kills_by_state": {kind: dict(states) for kind, states in sorted(tally.states.items())},
        "aimed_pauses": {aim: dict(went) for aim, went in tally.pauses.items()},
        "surprises": tally.unexpected_exits,
        "about": dict(about),
    }


def format_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result as lines of text."""
    for title, rows in build_tables(found):
        yield f"\n{title}"
        width = max((len(str(row[0])) for row in rows), default=0)
        for name, *cells in rows:
            yield f"  {name!s:<{width}}  {'  '.join(map(str, cells))}"
    yield f"\n{summarize(found)}"


def summarize(found: Mapping[str, Any]) -> str:
    """Return the verdict as one sentence."""
    armed, met = found["kills_between_arm_and_answer"], found["pauses_that_met_the_next_holder"]
    over = f"{armed} kills between arm and answer and {met} pauses that met the next holder"
    if found["verdict"] == "no run":
        return f"NO RUN: {over}; under {LEAST_ARMED} and {LEAST_MET} it proves nothing."
    if found["verdict"] == "kept":
        return f"KEPT: 0 lost, 0 duplicated, 0 early, 0 stuck, over {over}."
    broken = {what: n for what in VIOLATIONS if (n := found["deliveries"][what])}
    return f"BROKEN: {', '.join(f'{n} {what}' for what, n in broken.items())}."


def build_tables(found: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[tuple[Any, ...]]]]:
    """Yield title and rows of each table."""
    yield "Deliveries", [(name.replace("_", " "), n) for name, n in found["deliveries"].items()]
    yield "Lateness, seconds", list(found["lateness_s"].items())
    yield (
        "Kills, by the state of the victim's deliveries",
        [(kind, _states(states)) for kind, states in found["kills_by_state"].items()],
    )
    yield (
        "Aimed pauses: a worker stopped past its lease, the next holder at a failpoint",
        [(aim, _states(went)) for aim, went in found["aimed_pauses"].items()],
    )
    yield "Injected faults", list(found["strikes"].items())
    if found["left_to_a_person"]:
        yield (
            "Left to a person, because the platform cannot prove absence",
            list(found["left_to_a_person"].items()),
        )
    if found["faults"]:
        yield "Violations", [(f["what"], f["site"], f["word"], f["why"]) for f in found["faults"][:60]]
    if found["surprises"]:
        yield "Unexpected exits", [(text,) for text in found["surprises"]]
    yield "The run", list(found["about"].items())


def render_html(found: Mapping[str, Any]) -> str:
    """Return the result as a self-contained HTML page."""
    parts = [
        f"<h2>{html.escape(title)}</h2><table>"
        + "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
        )
        + "</table>"
        for title, rows in build_tables(found)
    ]
    colour = {"kept": "#1a7f37", "broken": "#b42318"}.get(found["verdict"], "#9a6700")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Slipway: chaos run</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td{border-bottom:1px solid #ddd;padding:.2rem 1rem .2rem 0;vertical-align:top}"
        f"h1{{color:{colour}}}</style><h1>{html.escape(summarize(found))}</h1>{''.join(parts)}</html>\n"
    )


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
