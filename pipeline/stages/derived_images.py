"""Make the images of a delivery fit its platform: plan which are converted, and convert each once before it is needed.

The source is read through its pinned check: ETag, size and SHA-256 of all bytes have to be what the check found, else
the delivery fails with ``media_changed``. The result is stored like an upload. A crash before it is committed leaves an
object that ``file_puts`` names, which maintenance removes; the next slice makes the image again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import Any, BinaryIO

from adapters.contract import Draft, Media, MediaFacts, Platform, Problem
from adapters.errors import Unavailable
from adapters.limit import ImageRule
from pipeline.domain.media_fitting import (
    JPEG,
    Conversion,
    Fit,
    explain_refusal,
    name_derived,
    plan_conversion,
)
from pipeline.media.probe.probe import convert
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.relay import build_media_changed, relay
from pipeline.media.storage import ObjectMissing, StorageUnavailable
from pipeline.media.uploads import build_fault, compute_etag
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.deadline import Deadline
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.files import files as store
from pipeline.store.files.files import File

Facts = Mapping[int, MediaFacts | None]
"""The facts of a post's media, by position."""


def find_rule(
    context: Context, platform: Platform, media: Mapping[str, Any], section: Mapping[str, Any]
) -> ImageRule | None:
    """Return what the platform takes as one image of this post; None without images, here or on the platform.

    *section*: the post's options there.
    """
    if media["type"] != "slideshow":
        return None
    adapter = context.adapters[platform]
    own = adapter.post_options.find_image_rule(section) if adapter.post_options else None
    return own or adapter.capabilities.image_rule


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
    for n, plan in plans.items():
        known = facts[n]
        if known is not None and name_field(n) not in refused:
            yield _describe_plan(context, platform, rule, name_field(n), known, plan, get_fit(media))


def _list_remedies(rule: ImageRule, media: Mapping[str, Any], facts: Facts) -> dict[str, str]:
    remedies = {n: explain_refusal(known, rule, get_fit(media)) for n, known in facts.items() if known}
    return {name_field(n): remedy for n, remedy in remedies.items() if remedy is not None}


def _describe_plan(
    context: Context,
    platform: Platform,
    rule: ImageRule,
    field: str,
    known: MediaFacts,
    plan: Conversion,
    fit: Fit | None,
) -> Problem:
    if rule.is_pulled and not _may_be_pulled(context):
        name = context.adapters[platform].capabilities.display_name
        return Problem(
            severity="refuse",
            code="validation_failed",
            field=field,
            message=f"This image has to be converted for {name}, which fetches images from their URLs, and this "
            "server has no public URL. Its operator sets SLIPWAY_API__PUBLIC_URL; until then send an image that "
            "fits as it is.",
            limit="a public URL",
            found=context.settings.files_url,
        )
    return Problem(
        severity="warn",
        code="MEDIA_CONVERTED",
        field=field,
        message=f"It is converted {plan.describe(known, fit)}.",
        limit=f"{plan.canvas[0]} x {plan.canvas[1]}",
        found=f"{known.width} x {known.height}",
    )


def name_field(position: int) -> str:
    """Return where an image stands in the request."""
    return f"media.urls[{position}]"


def _may_be_pulled(context: Context) -> bool:
    """Return True if platforms reach our URLs: they are https, or the sandbox stands in for the platforms."""
    return bool(context.settings.sandbox.url) or context.settings.files_url.startswith("https://")


MAX_SECONDS = 30.0
"""Seconds of one conversion, at most; usually it takes less than one."""
_LOCKS = tuple(Lock() for _ in range(64))
"""By name: deliveries of one process that need the same image make it once. Two processes may both make it."""


class TimeIsUp(Exception):
    """The slice has no time left for another image: the delivery is queued again, and keeps those it has."""


def derive_images(context: Context, claimed: ClaimedDelivery, draft: Draft, deadline: Deadline) -> Draft:
    """Return the draft with converted images in place of images that its platform refuses; missing ones are made.

    Raises TimeIsUp, NoRoom, Rejected (``media_changed``, ``media_not_convertible``), Unavailable and StorageFault.
    """
    rule = find_rule(context, claimed.account.platform, claimed.media, claimed.options)
    if rule is None:
        return draft
    plans = plan_images(rule, claimed.media, {n: media.facts for n, media in enumerate(draft.media)})
    media = list(draft.media)
    for n, plan in plans.items():
        half = timedelta(seconds=context.settings.publish.slice) / 2
        if deadline.time_left() < half or not context.may_begin():
            raise TimeIsUp
        media[n] = _Derivation(context, claimed, media[n], rule, plan).run()
    return replace(draft, media=tuple(media))


@dataclass(frozen=True, slots=True)
class _Derivation:
    """One image of a delivery."""

    context: Context
    claimed: ClaimedDelivery
    source: Media
    rule: ImageRule
    plan: Conversion

    def run(self) -> Media:
        """Return the derived file as media."""
        try:
            file = self._find_or_make()
        except (StorageUnavailable, OSError) as error:
            raise build_fault(error) from error
        return self._to_media(file)

    def _find_or_make(self) -> File:
        sha256 = self._facts.sha256
        if sha256 is None:  # its check did not need the hash
            with self._read_source() as (source, found):
                return self._make_once(found, source)
        return self._make_once(sha256, None)

    def _make_once(self, sha256: str, source: BinaryIO | None) -> File:
        public = self.context.files.addresses.public
        scope, fit = f"{public} {self.claimed.workspace_id}", get_fit(self.claimed.media)
        name = name_derived(scope, sha256, self.rule, fit)
        with _LOCKS[int(name[:8], 16) % len(_LOCKS)]:
            file = self._open(name, sha256)
            if file.object is not None and self._is_stored(file.object):
                return file
            if source is not None:
                self._make(file, source)
                return self._open(name, sha256)
            with self._read_source() as (copy, found):
                if found != sha256:
                    raise build_media_changed()
                self._make(file, copy)
            return self._open(name, sha256)

    def _open(self, name: str, sha256: str) -> File:
        with self.context.database.begin() as c:
            return store.open_derived(
                c,
                workspace=self.claimed.workspace_id,
                post=self.claimed.post_id,
                name=name,
                url=self.context.files.addresses.public_url(name),
                content_type=JPEG,
                source_sha256=bytes.fromhex(sha256),
            )

    def _is_stored(self, key: str) -> bool:
        try:
            self.context.files.storage.open(key, 0, 1).close()
        except ObjectMissing:
            return False
        return True

    def _make(self, file: File, source: BinaryIO) -> None:
        """Convert, store and commit. The process that commits first decides what the file is."""
        memory = get_probe_memory(self.context.settings.reachability.probe_memory)
        seconds = min(MAX_SECONDS, self.context.settings.publish.lease / 2)
        data = convert(source, self.plan, memory, seconds)
        content = self.context.files.put(file.id, data)
        failpoint("derived.stored", self.claimed.id)
        with self.context.database.begin() as c:
            store.finish_derived(c, file.id, content, file.object)
        failpoint("derived.committed", self.claimed.id)

    @contextmanager
    def _read_source(self) -> Iterator[tuple[BinaryIO, str]]:
        """Copy the source to a file without a name, and yield it with its SHA-256 in hexadecimal."""
        stream, folder = self.source.stream, self.context.settings.spool_folder
        if stream is None:
            raise Unavailable("The image is not known yet.", code="media_unavailable")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with tempfile.TemporaryFile(dir=folder) as copy:
            for piece in stream(0, self._facts.bytes):
                digest.update(piece)
                copy.write(piece)
            yield copy, digest.hexdigest()

    @property
    def _facts(self) -> MediaFacts:
        if self.source.facts is None:
            raise ValueError("an image without facts has no plan")
        return self.source.facts

    def _to_media(self, file: File) -> Media:
        """Return the file as media; of its plan it may have fewer pixels, where the bytes were too many."""
        if file.size is None or file.sha256 is None:  # given up by maintenance concurrently
            raise Unavailable("The converted image is not stored yet.", code="media_not_ready")
        facts = replace(self.plan.predict(self._facts), bytes=file.size, etag=compute_etag(file.sha256))
        files = self.context.files.open_workspace(self.claimed.workspace_id)
        stream = relay(files, file.url, facts)
        return replace(self.source, url=file.url, facts=facts, stream=stream)
