"""Outages of the broker and the database: responses, what is stored, and what happens afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from config.settings import load
from pipeline.api.health import NotReady, Readiness
from pipeline.api.http.response_models import Success
from pipeline.broker.queue_liveness import BEAT
from pipeline.broker.queues import ALL_QUEUES
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.stages.delay import sweep
from pipeline.store.canaries import record_canary, record_consumed
from pipeline.store.recovery import epoch as marks
from pipeline.wiring import build_context
from tests.conftest import Engines
from tests.database_outages import hung, read_only
from tests.pipeline.api.running_server import BASE, Server, Tenant, ask, serving, until, video

SERVER_SETTINGS: dict[str, str] = {}
"""The server is this module's own: what it answers depends on queues and on the epoch of its whole database."""
_EPOCH_UNTIL = "UPDATE mark SET until = {}, writer = pg_current_xact_id()::xid"
MOUNT = ("/usr/bin/mount", "-t", "tmpfs", "-o")
UNREACHABLE_BROKER = "redis+socket:///tmp/no-broker-here?virtual_host=0"


def test_broker_away_a_post_is_taken_and_the_message_is_sent_when_it_is_back(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving({**environment, "SLIPWAY_BROKER__URL": UNREACHABLE_BROKER}, tmp_path) as server:
        tenant = server.tenant()
        answer = server.post(video(tenant), tenant.key)
        assert answer.status_code == 201
        ready = server.send("GET", "/readyz")
        NotReady.model_validate_json(ready.content)
        assert ready.status_code == 503
        assert ready.json()["message"].startswith("The broker")
        assert {name for name, is_up in ready.json()["parts"].items() if is_up} == {
            "database",
            "disk",
            "mark",
        }
    back = build_context(load(environment))
    with back.database.begin() as c:
        c.execute(text("UPDATE deliveries SET state = 'scheduled'"))  # its media were found good meanwhile
    assert sweep(back) == 1
    client = create_redis_client(environment["SLIPWAY_BROKER__URL"])
    assert client.llen("publish.tiktok") == 1
    client.close()
    back.database.close()


def test_database_away_nothing_is_half_done_and_the_same_request_is_taken_later(
    environment: dict[str, str], tmp_path: Path, engines: Engines
) -> None:
    name = environment["SLIPWAY_STORE__URL"].partition("?")[0].rpartition("/")[2]
    with serving(environment, tmp_path) as server, engines.postgres.connect() as postgres:
        tenant = server.tenant()
        body = video(tenant, external_id=uuid4().hex)
        server.context.database.close()
        _allow(postgres, name, allowed=False)
        answer = server.post(body, tenant.key)
        assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
        assert server.post(b"{not json", "slw_live_0000.secret").status_code == 503, "no key can be read"
        ready = server.send("GET", "/readyz")
        assert ready.status_code == 503
        assert {name for name, is_up in ready.json()["parts"].items() if is_up} == {"broker", "disk"}
        assert "database" in ready.json()["message"]
        _allow(postgres, name, allowed=True)
        with server.context.database.begin() as c:
            for table in ("posts", "deliveries", "replays"):
                assert c.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0  # noqa: S608
        until(lambda: server.post(body, tenant.key).status_code in {200, 201}, "the post to be taken")
        with server.context.database.begin() as c:
            assert c.execute(text("SELECT count(*) FROM posts")).scalar() == 1


def _allow(postgres: psycopg.Connection[object], name: str, *, allowed: bool) -> None:
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}".encode())
    if not allowed:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        postgres.execute(ended, [name])


def test_a_database_that_hangs_is_named_and_health_and_metrics_answer_without_it(
    environment: dict[str, str], tmp_path: Path, engines: Engines
) -> None:
    with serving({**environment, "SLIPWAY_API__PROCESSES": "1"}, tmp_path) as server:
        assert 'slipway_up{part="database"} 1.0' in server.send("GET", "/metrics").text
        with hung(engines.postgres):
            for _ in range(6):  # more than there are threads
                ready = server.send("GET", "/readyz")
                assert ready.json()["message"] == "The database cannot be reached."
            until(
                lambda: 'slipway_up{part="database"} 0.0' in server.send("GET", "/metrics").text,
                "the metrics to say so",
            )
        until(
            lambda: 'slipway_up{part="database"} 1.0' in server.send("GET", "/metrics").text,
            "the metrics to say that it is back",
        )
        until(lambda: server.send("GET", "/readyz").status_code == 200, "it to be ready")


def test_a_database_that_takes_no_writes_refuses_a_post_as_one_that_is_away(
    environment: dict[str, str], tmp_path: Path, engines: Engines
) -> None:
    with serving(environment, tmp_path) as server:
        tenant = server.tenant()
        body = video(tenant)
        with read_only(engines.postgres):
            until(lambda: server.post(body, tenant.key).status_code == 503, "the settings to be read")
            assert server.post(video(tenant), tenant.key).json()["error_code"] == "unavailable"
        until(lambda: server.post(video(tenant), tenant.key).status_code == 201, "the settings to be read")


def test_readyz_tells_how_long_each_queue_has_been_silent(server: Server, tenant: Tenant) -> None:
    first = server.send("GET", "/readyz").json()["data"]["queues"]
    assert first == dict.fromkeys(ALL_QUEUES), "a queue that was never consumed is not silent"
    with server.context.database.begin() as c:
        for queue in ALL_QUEUES:
            record_canary(c, queue)
    good = server.send("GET", "/readyz")
    Success[Readiness].model_validate_json(good.content)
    assert all(0 <= age < 100 for age in good.json()["data"]["queues"].values())
    server.sql("UPDATE canaries SET taken_at = now() - interval '10 minutes' WHERE queue = 'status'")
    bad = server.send("GET", "/readyz")
    NotReady.model_validate_json(bad.content)
    assert bad.status_code == 503
    assert "status (600 s)" in bad.json()["message"]
    assert bad.json()["parts"]["database"] is True
    assert server.send("GET", "/healthz").status_code == 200
    assert server.post(video(tenant), tenant.key).status_code == 201, "posts are taken all the same"
    silence = 'slipway_queue_silence_seconds{queue="status"} 60'
    assert silence in server.send("GET", "/metrics").text
    assert "slipway_check_faults 0.0" in server.send("GET", "/metrics").text
    with server.context.database.begin() as c:
        record_consumed(c, ["status"])  # not its canary, which may wait behind a backlog
    assert server.send("GET", "/readyz").status_code == 200


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB, which a test may fill or make read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [*MOUNT, "size=1m", "tmpfs", str(folder)]
    if not Path(MOUNT[0]).exists() or subprocess.run(mount, check=False).returncode:
        pytest.skip("NOT TESTED: a disk that takes no writes. Mounting one needs root and /usr/bin/mount.")
    yield folder
    subprocess.run(["/usr/bin/umount", "--lazy", folder], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run([*MOUNT, f"remount,{option}", folder], check=True)


def fill(folder: Path, option: str) -> None:
    """Fill the disk (``ro``), or empty it again."""
    with (folder / "full").open("wb", buffering=0) as file, suppress(OSError):
        while option == "ro":
            file.write(bytes(4096))


@pytest.mark.parametrize(
    ("setting", "harm"), [("SLIPWAY_FILES__FOLDER", fill), ("SLIPWAY_MARK__FOLDER", remount)]
)
def test_readyz_is_503_while_a_disk_takes_no_writes(
    environment: dict[str, str], tmp_path: Path, disk: Path, setting: str, harm: Callable[[Path, str], None]
) -> None:
    with serving({**environment, setting: str(disk)}, tmp_path) as server:
        assert server.send("GET", "/readyz").status_code == 200
        harm(disk, "ro")
        bad = server.send("GET", "/readyz")
        NotReady.model_validate_json(bad.content)
        assert (bad.status_code, bad.json()["parts"]["disk"]) == (503, False)
        assert bad.json()["message"].startswith(f"The disk of {setting} takes no writes: ")
        assert server.send("GET", "/healthz").status_code == 200
        harm(disk, "rw")
        assert server.send("GET", "/readyz").status_code == 200
        assert [path.name for path in disk.iterdir() if path.name != "full"] == [], "a probe leaves nothing"


def test_readyz_names_a_folder_that_can_never_be_written(environment: dict[str, str], tmp_path: Path) -> None:
    with serving({**environment, "SLIPWAY_FILES__FOLDER": "/proc/no"}, tmp_path) as server:
        bad = server.send("GET", "/readyz")
    assert bad.status_code == 503
    assert "The disk of SLIPWAY_FILES__FOLDER takes no writes: " in bad.json()["message"]


def test_readyz_tells_whether_beat_runs_and_is_ready_without_it(server: Server) -> None:
    without = server.send("GET", "/readyz")
    assert (without.status_code, without.json()["data"]["parts"]["beat"]) == (200, False)
    assert "beat does not run" in without.json()["message"]
    server.context.liveness.record_beat(BEAT)
    there = server.send("GET", "/readyz").json()
    assert (there["message"], there["data"]["parts"]["beat"]) == ("Ready", True)


def test_readyz_names_queues_without_consumers_and_not_the_epoch_that_they_leave_behind(
    server: Server,
) -> None:
    assert server.context.send_guard.may_send()
    with server.context.database.begin() as c:
        record_consumed(c, ALL_QUEUES)
        silent = ["delay", "publish.tiktok"]
        for queue in silent:
            c.execute(
                text(f"UPDATE canaries SET taken_at = now() - interval '10 minutes' WHERE queue = '{queue}'")  # noqa: S608
            )
        c.execute(text(_EPOCH_UNTIL.format("now() - interval '10 minutes'")))
    bad = server.send("GET", "/readyz")
    assert bad.status_code == 503
    assert {queue for queue in ALL_QUEUES if f"{queue} (" in bad.json()["message"]} == set(silent)
    assert "epoch" not in bad.json()["message"]
    with server.context.database.begin() as c:
        record_consumed(c, ALL_QUEUES)
        c.execute(text(_EPOCH_UNTIL.format("now() + interval '1 minute'")))
    assert server.send("GET", "/readyz").status_code == 200


def test_a_database_that_was_restored_is_said_by_readyz_and_changes_nothing_of_before(
    server: Server, tenant: Tenant
) -> None:
    post = server.post(video(tenant), tenant.key).json()["data"]["id"]
    with server.context.database.begin() as c:
        marks.hold(c, "restored", since=None, until=datetime.now(UTC))
    try:
        bad = server.send("GET", "/readyz")
        NotReady.model_validate_json(bad.content)
        assert bad.status_code == 503
        assert "`slipway restore status`" in bad.json()["message"]
        assert bad.json()["parts"]["mark"] is False
        assert server.send("GET", "/healthz").status_code == 200

        for method, path, body in (
            ("PATCH", f"/posts/{post}", {"caption": "new"}),
            ("POST", "/posts/retry", {"post_ids": [post]}),
            ("POST", "/posts/cancel", {"post_ids": [post]}),
            ("POST", "/posts/delete", {"postIds": [post]}),
        ):
            refused = ask(server, tenant.key, method, path, body)
            assert (refused.status_code, refused.json()["error_code"]) == (503, "unavailable"), path
            assert "Retry-After" in refused.headers
        assert server.send("GET", f"{BASE}/posts/{post}", tenant.key).status_code == 200
        body = video(tenant) | {"caption": "another"}
        assert server.post(body, tenant.key).status_code == 201, "posts are taken all the same"
    finally:
        with server.context.database.begin() as c:
            marks.clear_hold(c)
    assert server.send("GET", "/readyz").status_code == 200


def test_readyz_says_when_nobody_keeps_the_mark(server: Server) -> None:
    assert server.context.send_guard.may_send()
    server.sql(_EPOCH_UNTIL.format("now() - interval '10 minutes'"))
    bad = server.send("GET", "/readyz")
    assert bad.status_code == 503
    assert "The epoch file has not been renewed for 600 s" in bad.json()["message"]
    server.sql(_EPOCH_UNTIL.format("now() + interval '1 minute'"))
    assert server.send("GET", "/readyz").status_code == 200
