"""Several server processes on one port: all serve, one that dies is replaced, and a second server is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import requests

from pipeline.api.server.serve import Supervisor
from tests.pipeline.api.running_server import ROOT, until

CLIENTS = 40
"""By chance, all of them meet the same of two processes once in 2**39 runs."""
TIMEOUT = 60
"""Seconds."""


def list_servers(api: subprocess.Popen[bytes], port: int) -> list[psutil.Process]:
    """The processes that listen on the port."""
    return [child for child in psutil.Process(api.pid).children() if is_listening(child, port)]


def is_listening(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        connections = process.net_connections("tcp")
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)
    return False


def count_listening_sockets(port: int) -> int:
    """Count them in the kernel, where the socket of a killed process outlives its list of files for a moment."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def wait_for_two(api: subprocess.Popen[bytes], port: int) -> list[psutil.Process]:
    until(lambda: len(list_servers(api, port)) == 2, "two processes to listen", 60)
    return list_servers(api, port)


def test_connections_are_spread_over_the_processes(api: subprocess.Popen[bytes], port: int) -> None:
    servers = wait_for_two(api, port)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        taken = Counter(
            server.pid
            for server in servers
            for c in server.net_connections("tcp")
            if c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
        )
    assert taken.total() == CLIENTS
    assert len(taken) == 2


def test_a_process_that_dies_is_replaced_while_the_other_serves(
    api: subprocess.Popen[bytes], port: int
) -> None:
    killed, _ = wait_for_two(api, port)
    killed.kill()
    until(lambda: count_listening_sockets(port) == 1, "the socket of the dead process to close")
    for _ in range(5):
        answer = requests.get(
            f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT, headers={"Connection": "close"}
        )
        assert answer.status_code == 200
    assert killed not in wait_for_two(api, port)


def test_a_second_server_on_the_port_is_refused(
    api: subprocess.Popen[bytes], api_environment: dict[str, str], port: int
) -> None:
    wait_for_two(api, port)
    second = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "api"],
        env=api_environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,  # it imports the application first
        check=False,
    )
    assert second.returncode == 1
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use." in second.stderr


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_process_that_cannot_start_stops_the_others(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "try: os.mkdir(sys.argv[1])\n"
        "except FileExistsError: sys.exit(3)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "first")]
    before = psutil.Process().children()
    assert Supervisor(command, 2, fatal=3).run() == 3
    assert set(psutil.Process().children()) <= set(before)
