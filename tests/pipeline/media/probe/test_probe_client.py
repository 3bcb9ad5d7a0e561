"""The confinement of probe processes: what one that a file has taken over can do, and what the client believes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import psutil
import pytest

from pipeline.media.probe import probe_client, probe_pool
from pipeline.media.probe.containers import Container, sniff
from pipeline.media.probe.probe_client import ProbeMemory
from pipeline.media.probe.probe_pool import ProbeUnavailable
from pipeline.media.url_policy import Refused, Unanswered
from tests.pipeline.media import samples

ROOT = Path(__file__).parents[4]
MEMORY = ProbeMemory(1_000_000_000)
MP4 = Container(kind="video", content_type="video/mp4", reader="av", format="mov")

_ATTEMPTS = """
import ctypes, json, os, signal, socket, sys, threading
sys.path.append(sys.argv[1])
from pipeline.media.probe import probe_worker, seccomp
import time
without = sys.argv[3:]
if "seccomp" in without:
    seccomp.restrict = lambda: False
probe_worker._set_limits(probe_worker.MEMORY, probe_worker.CPU_SECONDS)
probe_worker._select_reader({"reader": "av"}, probe_worker.Pipe(0, 1))
probe_worker._drop_rights()
libc = ctypes.CDLL(None)
def thread():
    threading.Thread(target=time.time).start()
def grow():
    bytearray(probe_worker.MEMORY)
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
    "more": lambda: probe_worker.resource.setrlimit(probe_worker.resource.RLIMIT_NOFILE, (64, 64)),
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
    ids=["seccomp and limits", "limits alone"],
)
def test_a_process_that_is_taken_over_can_open_reach_and_start_nothing(without: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ATTEMPTS, str(ROOT), str(os.getpid()), *without],
        env={},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["allowed"] == []


def test_a_real_probe_process_has_no_secrets_and_nothing_but_its_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_VAULT_KEY", "not-for-you")
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)  # noqa: FBT003
    seen: dict[str, object] = {}
    data = samples.video()

    def read(offset: int, length: int) -> bytes:
        [process] = _probes()
        folder = Path(f"/proc/{process.pid}")
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        seen["rights"] = (status["NoNewPrivs"], status["Seccomp"], status["CapEff"].strip("0"))
        seen["user"] = int(status["Uid"].split()[1])
        seen["environment"] = (folder / "environ").read_bytes()
        seen["open"] = sorted(str(entry.readlink()).partition(":")[0] for entry in (folder / "fd").iterdir())
        return data[offset : offset + length]

    probe_client.inspect(MP4, len(data), read, 20, MEMORY)
    os.close(kept)
    assert seen == {
        "rights": ("1", "2", ""),
        "user": 65534 if os.geteuid() == 0 else os.geteuid(),
        "environment": b"",
        "open": ["/dev/null", "/dev/null", "pipe", "pipe"],
    }
    assert _probes() == []


def _fork_server() -> psutil.Process:
    server = probe_pool._server
    assert server is not None
    return psutil.Process(server._process.pid)


def _probes() -> list[psutil.Process]:
    return _fork_server().children()


def run_instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Replace probe processes by ones that run ``code``."""
    before = "import os, struct, sys, time\nREQUEST = struct.Struct('>cQI')\n"

    @contextmanager
    def taken_over() -> Iterator[probe_pool.ProbeProcess]:
        program = [sys.executable, "-c", before + code]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def kill() -> probe_pool.Ending:
                process.kill()
                return probe_pool.Ending(process.wait(), 0, 0.0)

            yield probe_pool.ProbeProcess(process.stdin, process.stdout, kill)
            process.kill()

    monkeypatch.setattr(probe_client, "start_probe", taken_over)


READY = "os.write(1, REQUEST.pack(b'R', 0, 0))\n"


@pytest.mark.parametrize(
    "code",
    [
        "os.abort()",
        "os.write(1, REQUEST.pack(b'G', 10 ** 9, 10))",  # beyond the file
        "os.write(1, REQUEST.pack(b'G', 0, 2 ** 31))",  # too much at once
        "os.write(1, REQUEST.pack(b'G', 0, 0))",
        "os.write(1, REQUEST.pack(b'X', 0, 0))",
        "os.write(1, REQUEST.pack(b'A', 0, 2 ** 31))",
        "os.write(1, REQUEST.pack(b'A', 0, 2) + b'[]')",
        "os.write(1, REQUEST.pack(b'A', 0, 14) + b'{\"width\": -10}')",
        "os.write(1, REQUEST.pack(b'A', 0, 15) + b'{\"fps\": 1e9999}')",
        "os.write(1, REQUEST.pack(b'A', 0, 22) + b'{\"codec\": \"<script>\"  }')",
        "os.write(1, REQUEST.pack(b'A', 0, 12) + b'{\"extra\": 1}')",
    ],
)
def test_a_process_that_breaks_the_protocol_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    job_first = "os.read(0, 65536)\n"  # else it may end before it has received its job
    run_instead(monkeypatch, job_first + READY + code)
    with pytest.raises(Refused, match="damaged"):
        probe_client.inspect(MP4, 1000, lambda _offset, length: bytes(length), 20, MEMORY)


def test_a_process_that_never_ends_is_killed() -> None:
    """It hangs in a read that is not answered."""
    data = samples.video()
    never = Event()

    def read(offset: int, length: int) -> bytes:
        assert not never.wait(0.5)
        return data[offset : offset + length]

    with pytest.raises(Unanswered, match="within 0 s"):
        probe_client.inspect(MP4, len(data), read, 0.3, MEMORY)
    assert _probes() == []


def test_one_that_asks_for_nothing_and_never_answers_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    run_instead(monkeypatch, READY + "time.sleep(3600)")
    with pytest.raises(Unanswered, match="within 0 s"):
        probe_client.inspect(MP4, 1000, lambda _offset, length: bytes(length), 0.3, MEMORY)


@pytest.mark.parametrize("code", ["sys.exit(3)", "import a_library_that_is_not_installed"])
def test_a_fork_server_that_does_not_start_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    program = tmp_path / "fork_server.py"
    program.write_text(f"import sys\n{code}")
    monkeypatch.setattr(probe_pool, "PROGRAM", program)
    monkeypatch.setattr(probe_pool, "_server", None)
    with pytest.raises(probe_pool.ProbeUnavailable, match="did not start"):
        probe_client.inspect(MP4, 1000, lambda _offset, length: bytes(length), 20, MEMORY)


_OTHER_LIBRARY = """
import sys
sys.path.append({root!r})
import av
real = av.open
av.open = lambda *given, **named: real(*given, **named, an_argument_that_is_gone=1)
from pipeline.media.probe import fork_server
fork_server.main()
"""


def test_a_library_that_refuses_our_call_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As another version of PyAV did with every video: the file is not "damaged", and the traceback is logged."""
    program = tmp_path / "fork_server.py"
    program.write_text(_OTHER_LIBRARY.format(root=str(ROOT)))
    monkeypatch.setattr(probe_pool, "PROGRAM", program)
    monkeypatch.setattr(probe_pool, "_server", None)
    with pytest.raises(ProbeUnavailable, match=r"(?s)Traceback .*in _inspect_video\n.*TypeError"):
        _inspect_video()
    assert probe_pool._server is not None
    probe_pool._server.close()


def test_a_process_that_dies_before_it_is_ready_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_instead(monkeypatch, "sys.exit(3)")
    with pytest.raises(probe_pool.ProbeUnavailable, match="before it was ready"):
        probe_client.inspect(MP4, 1000, lambda _offset, length: bytes(length), 20, MEMORY)


def _inspect_video() -> probe_client.ProbeResult:
    data = samples.video()
    return probe_client.inspect(MP4, len(data), lambda o, n: data[o : o + n], 20, MEMORY)


def test_a_fork_server_that_died_is_replaced() -> None:
    first = _inspect_video()
    dead = _fork_server()
    dead.kill()
    dead.wait()
    assert _inspect_video() == first
    assert _fork_server() != dead


def test_when_the_fork_server_dies_during_a_probe_it_is_not_the_files_fault() -> None:
    """A file that could not be read through our own fault is probed again, and no post fails for it."""
    data = samples.video()

    def read(offset: int, length: int) -> bytes:
        [process] = _probes()
        server = probe_pool._server
        assert server is not None
        server._socket.shutdown(socket.SHUT_RDWR)
        process.wait(120)
        return data[offset : offset + length]

    with pytest.raises(probe_pool.ProbeUnavailable, match="fork server died"):
        probe_client.inspect(MP4, len(data), read, 20, MEMORY)
    assert _inspect_video().width == 320


def test_many_at_once_see_each_their_own_file() -> None:
    pictures = {width: samples.image("PNG", size=(width, 40)) for width in range(20, 44)}
    png = sniff(pictures[20])
    assert png is not None

    def width_of(data: bytes) -> int | None:
        return probe_client.inspect(png, len(data), lambda o, n: data[o : o + n], 20, MEMORY).width

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(width_of, pictures.values())) == list(pictures)
    assert _probes() == []


_HOLDS_ONE = """
import sys
sys.path.append(sys.argv[1])
from pipeline.media.probe import probe_pool
with probe_pool.start_probe():
    print(probe_pool._server._process.pid, flush=True)
    sys.stdin.read()
"""


def test_when_a_worker_is_killed_its_fork_server_and_probe_processes_end() -> None:
    words = [sys.executable, "-c", _HOLDS_ONE, str(ROOT)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        server = psutil.Process(int(worker.stdout.readline()))
        family = [server, *server.children()]
        assert len(family) == 2
        worker.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_an_error_of_the_source_is_raised_and_leaves_no_process_behind() -> None:
    def read(_offset: int, _length: int) -> bytes:
        raise Unanswered("HTTP 503")

    with pytest.raises(Unanswered, match=r"^HTTP 503$"):
        probe_client.inspect(MP4, 1000, read, 20, MEMORY)
    assert _probes() == []


def test_only_known_demuxers_are_to_be_had() -> None:
    """Any other is a fault of ours, and its traceback comes with it."""
    playlist = b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/secret\n#EXT-X-ENDLIST\n"
    for form in ("hls", "concat", "dash", "image2", "lavfi"):
        container = Container(kind="video", content_type="video/mp4", reader="av", format=form)
        with pytest.raises(ProbeUnavailable, match=r"(?s)Traceback .*in estimate_memory\n.*KeyError"):
            probe_client.inspect(container, len(playlist), lambda o, n: playlist[o : o + n], 20, MEMORY)


def _slice(data: bytes | bytearray, offset: int, length: int) -> bytes:
    return bytes(data[offset : offset + length])


@pytest.mark.parametrize("name", ["video", "jpeg", "png", "heic"])
def test_damaged_bytes_only_ever_refuse(name: str) -> None:
    """Random changes: each file is read or refused, none breaks the protocol."""
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
            seen = probe_client.inspect(container, len(broken), partial(_slice, broken), 20, MEMORY)
        except Refused:
            continue
        assert seen.error is None
