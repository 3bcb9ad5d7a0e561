"""Upload one video as a worker does, and report its cost.

`python -m tests.bench.stream_worker PLATFORM SOURCE SINK SIZE`

The guarded fetcher relays the file into the adapter's upload, chunk by chunk, with checkpoints through JSON. A small
upload runs first, so that imports are not measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adapters.contract import (
    Account,
    Credentials,
    Draft,
    Media,
    MediaFacts,
    Pending,
    Platform,
    PlatformSettings,
    Ready,
)
from adapters.errors import Retryable
from adapters.http import HttpClient
from adapters.registry import ADAPTERS
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.media.relay import relay

WARM_UP = 12_000_000
MOST_TRIES = 20
CONNECTIONS = {Platform.YOUTUBE: "channel", Platform.TIKTOK: "creator"}


def main() -> None:
    """Print JSON: resident memory before and at most, seconds, bytes written to storage, open files."""
    platform, source, sink, size = Platform(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    upload(platform, source, sink, WARM_UP)
    Path("/proc/self/clear_refs").write_text("5")  # reset the kernel's high-water mark
    before, written, began = _status("VmRSS"), _written(), time.monotonic()
    files = upload(platform, source, sink, size)
    found = {"before": before, "most": _status("VmHWM"), "seconds": time.monotonic() - began}
    print(json.dumps(found | {"written": _written() - written, "files": sorted(files)}), flush=True)


def upload(platform: Platform, source: str, sink: str, size: int) -> set[str]:
    """Upload one video completely; return the names of files on disk that were open meanwhile."""
    url = f"{source}/{size}/video.mp4"
    facts = MediaFacts(
        content_type="video/mp4",
        bytes=size,
        width=540,
        height=960,
        duration=60,
        codec="h264",
        fps=30,
        etag=f'"{size}"',
    )
    stream = relay(Fetcher(FetchPolicy(allowed_origins=frozenset({source}))), url, facts)
    media = (Media(url=url, kind="video", facts=facts, stream=stream),)
    draft = Draft(delivery_id="1", caption="A large one", kind="video", media=media)
    account = Account(
        id="1",
        platform=platform,
        connection=CONNECTIONS[platform],
        remote_id="1",
        username="ann",
        credentials=Credentials(access_token=SecretStr("none")),
    )
    settings = PlatformSettings(hosts=dict.fromkeys(("api", "business", "www", "oauth", "accounts"), sink))
    files: set[str] = set()
    checkpoint: Mapping[str, Any] = {}
    tries = 0
    while True:
        adapter = ADAPTERS[platform](HttpClient(limit=timedelta(seconds=60)), settings)
        try:
            result = adapter.prepare(draft, account, json.loads(json.dumps(checkpoint)))
        except Retryable:
            tries += 1
            if tries > MOST_TRIES:
                raise
            continue
        files |= _open_files()
        checkpoint = result.checkpoint
        if isinstance(result, Ready):
            break
        time.sleep(result.wait / timedelta(seconds=1))
    done = adapter.finalize(draft, account, checkpoint)
    assert isinstance(done, Pending), done
    return files


def _status(name: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _written() -> int:
    line = next(x for x in Path("/proc/self/io").read_text().splitlines() if x.startswith("write_bytes:"))
    return int(line.split()[1])


def _open_files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            path = link.readlink()
        except OSError:  # the descriptor of the listing itself is closed
            continue
        if path.is_absolute() and path.is_file():
            found.add(str(path))
    return found


if __name__ == "__main__":
    main()
