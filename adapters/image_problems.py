"""Find why a platform cannot take one image, by its `ImageRule`; every problem at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.contract import MediaFacts, Problem
from adapters.limit import ImageRule, Ratio


def find_image_problems(platform: str, rule: ImageRule, facts: MediaFacts, field: str) -> Iterator[Problem]:
    """Find the problems of an image. ``platform``: its display name. An unknown fact counts as within its limit."""
    if facts.content_type.lower() not in rule.types:
        names = " or ".join(rule.types)
        message = f"{platform} takes images of type {names}; this one is {facts.content_type}."
        yield _refuse(field, message, names, facts.content_type)
    for what, unit, limit, found in _list_sizes(rule, facts):
        if limit is not None and found > limit:
            message = f"{platform} takes images {what} of at most {limit} {unit}; this one has {found}."
            yield _refuse(field, message.replace("images  of", "images of"), limit, found)
    yield from _check_ratio(platform, rule, facts, field)


def _list_sizes(rule: ImageRule, facts: MediaFacts) -> Sequence[tuple[str, str, int | None, int]]:
    size = ("", "bytes", rule.bytes, facts.bytes)
    if not facts.width or not facts.height:
        return (size,)
    short, long = sorted((facts.width, facts.height))
    return (
        size,
        ("with a long side", "pixels", rule.long_side, long),
        ("with a short side", "pixels", rule.short_side, short),
        ("", "pixels", rule.area, facts.width * facts.height),
    )


def _check_ratio(platform: str, rule: ImageRule, facts: MediaFacts, field: str) -> Iterator[Problem]:
    if rule.ratio is None or not facts.width or not facts.height:
        return
    found, span = round(facts.width / facts.height, 3), _write_span(rule.ratio)
    if not rule.takes_ratio(found):
        taken = _write_span(rule.reported_ratio or rule.ratio)
        message = f"{platform} takes images of {taken} width:height; this one has {found}."
        yield _refuse(field, message, taken, found)
    elif not rule.takes_ratio(found, documented=True):
        yield Problem(
            severity="warn",
            code="RATIO_NOT_DOCUMENTED",
            field=field,
            message=f"{platform} documents images of {span} width:height; this one has {found}, which third parties "
            "report to be taken. It is sent as it is.",
            limit=span,
            found=found,
        )


def _write_span(ratio: Ratio) -> str:
    return f"{ratio[0]:g} to {ratio[1]:g}"


def _refuse(field: str, message: str, limit: str | float, found: str | float) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )
