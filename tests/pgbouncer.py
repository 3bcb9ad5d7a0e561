"""Run PgBouncer in transaction mode before a database, as Debian packages it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from pipeline.embedded.process import build_spawn_command, find_server_user
from tests.conftest import free_ports
from tests.waiting import until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
CONNECTIONS = 6
"""Connections to the server that all clients share: fewer than one worker's pools, so that they are handed on."""


@contextmanager
def pool(database_url: str, folder: Path, connections: int = CONNECTIONS) -> Iterator[str]:
    """Yield the URL of the same database through PgBouncer. *folder* gets its settings and its log."""
    target = make_url(database_url)
    [port] = free_ports(1)
    settings = folder / "pgbouncer.ini"
    folder.mkdir(exist_ok=True)
    settings.write_text(
        f"""[databases]
{target.database} = host={target.query["host"]} dbname={target.database} user={target.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""
    )
    with (folder / "pgbouncer.log").open("ab") as log:
        # it refuses root, as PostgreSQL does
        command = [*build_spawn_command(find_server_user()), str(PROGRAM), str(settings)]
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: b"process up" in (folder / "pgbouncer.log").read_bytes(), 30)
        yield f"postgresql+psycopg://{target.username}@127.0.0.1:{port}/{target.database}"
    finally:
        running.send_signal(signal.SIGQUIT)  # SIGTERM waits for the clients
        running.wait(30)
