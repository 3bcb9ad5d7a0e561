"""Make the images of a delivery that do not fit its platform, once for each file and rule, before they are needed.

The source is read through its pinned check: ETag, size and SHA-256 of all bytes have to be what the check found, else
the delivery fails with ``media_changed``. The result is stored like an upload. A crash before it is committed leaves an
object that ``file_puts`` names, which maintenance removes; the next slice makes the image again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Lock
from typing import BinaryIO

from adapters.contract import Draft, Media, MediaFacts
from adapters.errors import Unavailable
from adapters.limit import ImageRule
from pipeline.domain.media_fitting import JPEG, Conversion, name_derived
from pipeline.media.files.storage_folder import ObjectMissing, StorageUnavailable
from pipeline.media.files.uploads import build_fault, compute_etag, create_object_key
from pipeline.media.probe.conversion import convert
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.relay import build_media_changed, relay
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.deadline import Deadline
from pipeline.stages.image_fitting import find_rule, get_fit, plan_images
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.files import derived as store
from pipeline.store.files.files import Content, File, begin_put

MAX_SECONDS = 30.0
"""Seconds of one conversion, at most; usually it takes less than one."""
_LOCKS = tuple(Lock() for _ in range(64))
"""By name: deliveries of one process that need the same image make it once. Two processes may both make it."""


class TimeIsUp(Exception):
    """The slice has no time left for another image: the delivery is queued again, and keeps those that are made."""


def derive_images(context: Context, claimed: ClaimedDelivery, draft: Draft, deadline: Deadline) -> Draft:
    """Return the draft with converted images in place of images that its platform refuses; missing ones are made.

    Raises TimeIsUp, NoRoom, Rejected (``media_changed``, ``media_not_convertible``), Unavailable and StorageFault.
    """
    rule = find_rule(context, claimed.account.platform, claimed.media)
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


class _Derivation:
    """One image of a delivery."""

    def __init__(
        self,
        context: Context,
        claimed: ClaimedDelivery,
        source: Media,
        rule: ImageRule,
        plan: Conversion,
    ) -> None:
        self.context, self.claimed, self.source, self.rule, self.plan = context, claimed, source, rule, plan

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
            else:
                self._make_from_checked(file, sha256)
            return self._open(name, sha256)

    def _make_from_checked(self, file: File, sha256: str) -> None:
        with self._read_source() as (source, found):
            if found != sha256:
                raise build_media_changed()
            self._make(file, source)

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
        key = create_object_key(file.id)
        with self.context.database.begin() as c:
            begin_put(c, file.id, key)
        writer = self.context.files.storage.begin(key)
        writer.write(data)
        writer.finish()
        failpoint("derived.stored", self.claimed.id)
        content = Content(object=key, size=len(data), sha256=hashlib.sha256(data).digest())
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
