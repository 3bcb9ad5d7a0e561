"""What every host must share, the store of uploaded files and the epoch file, and what a worker reports of its host.

A host with a folder of its own would fail posts whose files lie on another, and would not notice a restored database;
one with another sandbox or other limits would publish elsewhere, or otherwise.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Platform
from config.settings import PREFIX, Settings, list_values
from pipeline.domain.level import lower_level
from pipeline.media.storage import Storage
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.canaries import Host, list_hosts

SHARED: Mapping[str, tuple[str, str]] = {
    "files": ("store of uploaded files", "SLIPWAY_FILES__FOLDER"),
    "epoch": ("epoch file", "SLIPWAY_MARK__FOLDER"),
}
"""Fact of a host's report -> what it is of, and the setting that names its folder."""
_NAMES = ("BROKER__VISIBILITY_TIMEOUT", "MARK__LEASE", "SANDBOX__URL", "SANDBOX__MEDIA_URL")
_GROUPS = tuple(f"{group.upper()}__" for group in ("delay", "publish", *Platform))
AGREEING = tuple(PREFIX + start for start in (*_NAMES, *_GROUPS))
"""How the names of the settings start that must be the same in all workers of a group."""
ENDS = "Set it as there, on a disk that all hosts share"


class NotShared(Exception):
    """This host sees other files or another epoch than the hosts that run; the message names the setting."""


def look_at_shared(s: Settings, storage: Storage, epoch_file: EpochFile) -> Mapping[str, str | None]:
    """Return the identity of the files, and the epoch where this process keeps it; None: there is none."""
    files = {"files": storage.identify()}
    if not s.mark.keep:
        return files
    try:
        seen = epoch_file.read()
    except OSError:
        seen = None
    return {**files, "epoch": str(seen.id) if seen else None}


def describe_worker(s: Settings) -> Mapping[str, Any]:
    """Return a worker's version and level, and which settings it has that must agree and are not the default."""
    default = list_agreeing(Settings())
    return {
        "version": version("slipway"),
        "level": lower_level(s.level),
        "settings": {name: value for name, value in list_agreeing(s).items() if value != default[name]},
    }


def list_agreeing(s: Settings) -> Mapping[str, float | str]:
    """Return the settings that must be the same in all workers of a group, without secrets."""
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in list_values(s).items()
        if name.startswith(AGREEING) and not isinstance(value, SecretStr)
    }


def require_shared(c: Connection, s: Settings, build_storage: Callable[[Settings], Storage]) -> None:
    """Compare what this host sees with the reports of workers that run on others. Raises NotShared.

    Without a report of another host nothing is compared: a single host may move its folders, and the send guard finds
    a lost epoch file.
    """
    here, silent = socket.gethostname(), timedelta(seconds=s.worker.silent)
    others = [host for host in list_hosts(c) if host.name != here and host.age < silent]
    if others:
        seen = look_at_shared(s, build_storage(s), EpochFile(s.mark_folder))
        if wrong := [*_list_differences(seen, others)]:
            raise NotShared(" ".join(wrong))


def _list_differences(seen: Mapping[str, str | None], others: list[Host]) -> Iterator[str]:
    for fact, value in seen.items():
        common = Counter(host.facts[fact] for host in others if host.facts.get(fact)).most_common(1)
        if common and common[0][0] != value:
            what, setting = SHARED[fact]
            names = ", ".join(sorted({host.name for host in others if host.facts.get(fact) == common[0][0]}))
            yield f"{setting}: this host sees another {what} than {names}, or none. {ENDS}."
