"""Threads of a server process share a few arenas of the C library's allocator."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import ctypes, sys, threading
{limit}
libc, all_here = ctypes.CDLL(None), threading.Barrier(20)
def allocate():
    kept = [bytes(100_000) for _ in range(10)]
    all_here.wait()
threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""
LIMIT = "import pipeline.runtime.interpreter; pipeline.runtime.interpreter.limit_arenas()"


def count_arenas(folder: Path, limit: str) -> int:
    path = folder / "malloc.xml"
    subprocess.run([sys.executable, "-c", COUNT.format(limit=limit), str(path)], check=True)
    return path.read_text().count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no arenas")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    assert count_arenas(tmp_path, "") > 2
    assert count_arenas(tmp_path, LIMIT) <= 2
