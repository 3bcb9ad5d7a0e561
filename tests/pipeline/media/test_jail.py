"""The jail from inside and outside: what an inmate that was taken over could still do, and what it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.media import jail
from pipeline.media.refusal import Refused, Unanswered
from pipeline.media.sniff import Container, sniff
from tests.pipeline.media import samples

ROOT = Path(__file__).parents[3]
MP4 = Container(kind="video", content_type="video/mp4", reader="av", format="mov")

_ATTEMPTS = """
import ctypes, json, os, signal, socket, sys, threading
sys.path.append(sys.argv[1])
from pipeline.media import inmate, seccomp
import time
without = sys.argv[3:]
if "seccomp" in without:
    seccomp.restrict = lambda: False
inmate._limit()
inmate._reader({"reader": "av"})
inmate._lock()
libc = ctypes.CDLL(None)
def thread():
    threading.Thread(target=time.time).start()
def grow():
    bytearray(2 * 1024 ** 3)
attempts = {
    "open": lambda: open("/etc/hostname"),
    "write": lambda: open("/tmp/slipway-escape", "w"),
    "list": lambda: os.listdir("/"),
    "stat": lambda: os.stat("/etc"),
    "tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix": lambda: socket.socketpair(),
    "pipe": os.pipe,
    "dup": lambda: os.dup(0),
    "fork": os.fork,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "thread": thread,
    "signal": lambda: os.kill(int(sys.argv[2]), 0),
    "more": lambda: inmate.resource.setrlimit(inmate.resource.RLIMIT_NOFILE, (64, 64)),
    "root": lambda: os.setuid(0),
    "grow": grow,
}
allowed = []
for name, attempt in attempts.items():
    if name in without:
        continue
    try:
        attempt()
        allowed.append(name)
    except (OSError, MemoryError, RuntimeError, ValueError):
        pass
os.write(1, json.dumps({"allowed": allowed}).encode())
"""


@pytest.mark.parametrize(
    "without",
    [[], ["seccomp", "exec", "stat", "signal"]],  # limits alone stop all that needs a descriptor or a process
    ids=["all walls", "limits alone"],
)
def test_an_inmate_that_is_taken_over_can_open_reach_and_start_nothing(without: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ATTEMPTS, str(ROOT), str(os.getpid()), *without],
        env={},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["allowed"] == []


def test_a_real_inmate_has_no_secrets_and_nothing_but_its_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_VAULT_KEY", "not-for-you")
    before = _children()
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)  # noqa: FBT003
    seen: dict[str, object] = {}
    data = samples.video()

    def read(offset: int, length: int) -> bytes:
        [child] = _inmates(before)
        folder = Path(f"/proc/{child.pid}")
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        seen["rights"] = (status["NoNewPrivs"], status["Seccomp"], status["CapEff"].strip("0"))
        seen["user"] = int(status["Uid"].split()[1])
        seen["environment"] = (folder / "environ").read_bytes()
        seen["open"] = sorted(str(entry.readlink()).partition(":")[0] for entry in (folder / "fd").iterdir())
        return data[offset : offset + length]

    jail.inspect(MP4, len(data), read, 20)
    os.close(kept)
    assert seen == {
        "rights": ("1", "2", ""),
        "user": 65534 if os.geteuid() == 0 else os.geteuid(),
        "environment": b"",
        "open": ["/dev/null", "/dev/null", "pipe", "pipe"],
    }
    assert _inmates(before) == []


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def _inmates(before: set[psutil.Process]) -> list[psutil.Process]:
    """Children since then; earlier ones are the run's engines."""
    return [child for child in psutil.Process().children() if child not in before]


def _program(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    program = folder / "inmate.py"
    program.write_text("import os, struct, sys, time\nASK = struct.Struct('>cQI')\n" + code)
    monkeypatch.setattr(jail, "PROGRAM", program)


READY = "os.write(1, ASK.pack(b'R', 0, 0))\n"


@pytest.mark.parametrize(
    "code",
    [
        "os.abort()",
        "os.write(1, ASK.pack(b'G', 10 ** 9, 10))",  # beyond the file
        "os.write(1, ASK.pack(b'G', 0, 2 ** 31))",  # too much at once
        "os.write(1, ASK.pack(b'G', 0, 0))",
        "os.write(1, ASK.pack(b'X', 0, 0))",
        "os.write(1, ASK.pack(b'A', 0, 2 ** 31))",
        "os.write(1, ASK.pack(b'A', 0, 2) + b'[]')",
        "os.write(1, ASK.pack(b'A', 0, 14) + b'{\"width\": -10}')",
        "os.write(1, ASK.pack(b'A', 0, 15) + b'{\"fps\": 1e9999}')",
        "os.write(1, ASK.pack(b'A', 0, 22) + b'{\"codec\": \"<script>\"  }')",
        "os.write(1, ASK.pack(b'A', 0, 12) + b'{\"extra\": 1}')",
    ],
)
def test_an_inmate_that_misbehaves_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    job_first = "os.read(0, 65536)\n"  # or it may be gone before it was told what to do
    _program(monkeypatch, tmp_path, job_first + READY + code)
    with pytest.raises(Refused, match="damaged"):
        jail.inspect(MP4, 1000, lambda _offset, length: bytes(length), 20)


def test_an_inmate_that_never_ends_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = _children()
    _program(monkeypatch, tmp_path, READY + "time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(Unanswered, match="within 0 s"):
        jail.inspect(MP4, 1000, lambda _offset, length: bytes(length), 0.3)
    assert time.monotonic() - started < 10
    assert _inmates(before) == []


@pytest.mark.parametrize("code", ["sys.exit(3)", "import a_library_that_is_not_installed"])
def test_a_jail_that_does_not_start_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    _program(monkeypatch, tmp_path, code)
    with pytest.raises(jail.JailBroken, match="did not start"):
        jail.inspect(MP4, 1000, lambda _offset, length: bytes(length), 20)


def test_trouble_of_the_source_comes_through_and_leaves_nobody_behind() -> None:
    before = _children()

    def read(_offset: int, _length: int) -> bytes:
        raise Unanswered("HTTP 503")

    with pytest.raises(Unanswered, match=r"^HTTP 503$"):
        jail.inspect(MP4, 1000, read, 20)
    assert _inmates(before) == []


def test_only_known_demuxers_are_to_be_had() -> None:
    playlist = b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/secret\n#EXT-X-ENDLIST\n"
    for form in ("hls", "concat", "dash", "image2", "lavfi"):
        container = Container(kind="video", content_type="video/mp4", reader="av", format=form)
        with pytest.raises(Refused, match="damaged"):
            jail.inspect(container, len(playlist), lambda o, n: playlist[o : o + n], 20)


@pytest.mark.parametrize("name", ["video", "jpeg", "png", "heic"])
def test_damaged_bytes_only_ever_refuse(name: str) -> None:
    """A few hundred random changes: each is read or refused, none breaks the jail."""
    from random import Random

    data = {
        "video": samples.video(),
        "jpeg": samples.image("JPEG", orientation=6),
        "png": samples.image("PNG", orientation=6),
        "heic": samples.heic(100, 50),
    }[name]
    container = sniff(data)
    assert container is not None
    random = Random(3)
    for _ in range(15):
        broken = bytearray(data)
        for _ in range(20):
            broken[random.randrange(20, len(broken))] = random.randrange(256)
        try:
            seen = jail.inspect(container, len(broken), lambda o, n: bytes(broken[o : o + n]), 20)  # noqa: B023
        except Refused:
            continue
        assert seen.error is None
