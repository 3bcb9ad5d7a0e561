"""Say what has to change about a video that a platform refuses: Slipway sends videos as they are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from adapters.contract import MediaFacts
from adapters.limit import Limit

Found = str | float | None


def _compute_ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _find_shorter(facts: MediaFacts) -> float | None:
    return min(facts.width, facts.height) if facts.width and facts.height else None


def _find_longer(facts: MediaFacts) -> float | None:
    return max(facts.width, facts.height) if facts.width and facts.height else None


_FACTS: Mapping[str, Callable[[MediaFacts], Found]] = {
    "type": lambda facts: facts.content_type,
    "codec": lambda facts: facts.codec,
    "size": lambda facts: facts.bytes,
    "duration": lambda facts: facts.duration,
    "frame rate": lambda facts: facts.fps,
    "width": lambda facts: facts.width,
    "width : height": _compute_ratio,
    "side": _find_longer,
}
"""The fact that a rule of a platform's table of limits is about; of ``side`` the one that has a most."""


def describe_changes(facts: MediaFacts, limits: Iterable[Limit], connection: str) -> str | None:
    """Return what to re-encode the video to, with the values found; None if it is within these limits."""
    changes = [
        change
        for limit in limits
        if limit.of == "video" and limit.is_enforced and limit.connection in ("", connection)
        for change in _list_changes(facts, limit)
    ]
    return f"Videos are sent as they are. Re-encode this one: {'; '.join(changes)}." if changes else None


def _list_changes(facts: MediaFacts, limit: Limit) -> Iterator[str]:
    read = _FACTS.get(limit.rule)
    found = None if read is None else read(facts)
    if found is None:
        return
    if limit.values:
        if not str(found).startswith(limit.values):  # a value may be a family: "video/"
            yield f"{limit.rule} {' or '.join(limit.values)} instead of {found}"
        return
    shortest = _find_shorter(facts) if limit.rule == "side" else found
    is_over = limit.most is not None and isinstance(found, int | float) and found > limit.most
    is_under = limit.least is not None and isinstance(shortest, int | float) and shortest < limit.least
    if is_over or is_under:
        yield f"{limit.rule} {_write_span(limit)} instead of {found if is_over else shortest}"


def _write_span(limit: Limit) -> str:
    least, most = (None if side is None else f"{side:.10g}" for side in (limit.least, limit.most))
    span = (
        f"at least {least}" if most is None else f"at most {most}" if least is None else f"{least} to {most}"
    )
    return f"{span} {limit.unit}".rstrip()
