"""Which images of a post are converted for a platform, what is reported about it, and what to do if it fails. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.contract import MediaFacts, Platform, Problem
from adapters.limit import ImageRule
from pipeline.domain.media_fitting import Conversion, Fit, explain_refusal, plan_conversion
from pipeline.runtime.context import Context

Facts = Mapping[int, MediaFacts | None]
"""The facts of a post's media, by position."""


def find_rule(context: Context, platform: Platform, media: Mapping[str, Any]) -> ImageRule | None:
    """Return what the platform takes as one image of this post; None for a video, or a platform without images."""
    return None if media["type"] == "video" else context.adapters[platform].capabilities.image_rule


def get_fit(media: Mapping[str, Any]) -> Fit | None:
    """Return ``media.fit`` of a request."""
    fit: Fit | None = media.get("fit")
    return fit


def plan_images(rule: ImageRule, media: Mapping[str, Any], facts: Facts) -> dict[int, Conversion]:
    """Return how the images that do not fit are converted, by position."""
    fit = get_fit(media)
    return {n: plan for n, known in facts.items() if known and (plan := plan_conversion(known, rule, fit))}


def is_converted_for_any(context: Context, facts: MediaFacts) -> bool:
    """Return True if some platform takes the image only converted, or only padded or cropped."""
    rules = [adapter.capabilities.image_rule for adapter in context.adapters.values()]
    fits: tuple[Fit | None, ...] = (None, "crop")
    return any(plan_conversion(facts, rule, fit) for rule in rules if rule is not None for fit in fits)


def predict_facts(facts: Facts, plans: Mapping[int, Conversion]) -> Facts:
    """Return the facts as the platform will find them."""
    return {n: plans[n].predict(known) if known and n in plans else known for n, known in facts.items()}


def amend_problems(
    context: Context,
    platform: Platform,
    rule: ImageRule,
    media: Mapping[str, Any],
    facts: Facts,
    plans: Mapping[int, Conversion],
    found: Sequence[Problem],
) -> Iterator[Problem]:
    """Yield the problems of an adapter with what to do about its images, and a warning for each that is converted."""
    refused = {problem.field for problem in found if problem.severity == "refuse"}
    remedies = _list_remedies(rule, media, facts) if refused else {}
    for problem in found:
        remedy = None
        if problem.severity == "refuse":
            remedy = remedies.pop(problem.field, None)  # once for each image, however many rules it breaks
        yield replace(problem, message=f"{problem.message} {remedy}") if remedy else problem
    if plans:
        yield from _describe_plans(context, platform, rule, media, facts, plans, refused)


def _list_remedies(rule: ImageRule, media: Mapping[str, Any], facts: Facts) -> dict[str, str]:
    remedies = {n: explain_refusal(known, rule, get_fit(media)) for n, known in facts.items() if known}
    return {name_field(n): remedy for n, remedy in remedies.items() if remedy is not None}


def _describe_plans(
    context: Context,
    platform: Platform,
    rule: ImageRule,
    media: Mapping[str, Any],
    facts: Facts,
    plans: Mapping[int, Conversion],
    refused: set[str],
) -> Iterator[Problem]:
    name = context.adapters[platform].capabilities.display_name
    for n, plan in plans.items():
        field, known = name_field(n), facts[n]
        if known is None or field in refused:
            continue
        if rule.is_pulled and not _may_be_pulled(context):
            yield Problem(
                severity="refuse",
                code="validation_failed",
                field=field,
                message=f"This image has to be converted for {name}, which fetches images from their URLs, and this "
                "server has no public URL. Its operator sets SLIPWAY_API__PUBLIC_URL; until then send an image that "
                "fits as it is.",
                limit="a public URL",
                found=context.settings.files_url,
            )
            continue
        yield Problem(
            severity="warn",
            code="MEDIA_CONVERTED",
            field=field,
            message=f"It is converted {plan.describe(known, get_fit(media))}.",
            limit=f"{plan.canvas[0]} x {plan.canvas[1]}",
            found=f"{known.width} x {known.height}",
        )


def name_field(position: int) -> str:
    """Return where an image stands in the request."""
    return f"media.urls[{position}]"


def _may_be_pulled(context: Context) -> bool:
    """Return True if platforms reach our URLs: they are https, or the sandbox stands in for the platforms."""
    return bool(context.settings.sandbox.url) or context.settings.files_url.startswith("https://")
