"""Each port of the stack is taken for real: the message names what mends it, and with that there is no conflict."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.settings import load
from pipeline.embedded.data_folder import find_place
from pipeline.embedded.services import find_conflicts, list_addresses
from tests.conftest import free_ports

NAMES = (
    "SLIPWAY_API__PORT",
    "SLIPWAY_FLOWER__PORT",
    "SLIPWAY_SANDBOX__URL",
    "SLIPWAY_SANDBOX__MEDIA_URL",
)


def find(values: Mapping[str, str]) -> list[str]:
    return find_conflicts(list_addresses(load(dict(values))), lambda name: f"the place of {name}")


def do(values: Mapping[str, str], message: str) -> dict[str, str]:
    """Do what a message says."""
    [(name, value, place)] = re.findall(r"Set (\w+)=(\S+) in (.+)\.$", message)
    assert place == f"the place of {name}"
    return {**values, name: value}


@pytest.fixture
def values() -> dict[str, str]:
    ports = free_ports(len(NAMES))
    return {
        name: f"http://127.0.0.1:{port}" if name.endswith("URL") else str(port)
        for name, port in zip(NAMES, ports, strict=True)
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_taken_port(values: dict[str, str], name: str) -> None:
    assert find(values) == []
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(values[name].rpartition(":")[2])))
        holder.listen()
        [message] = find(values)
        mended = do(values, message)
        assert {n for n in NAMES if mended[n] != values[n]} == {name}
        assert find(mended) == []


def test_two_services_on_one_port_of_overlapping_hosts(values: dict[str, str]) -> None:
    values |= {"SLIPWAY_API__HOST": "::", "SLIPWAY_FLOWER__PORT": values["SLIPWAY_API__PORT"]}
    [message] = find(values)
    assert message.startswith(f"Flower and the API both use port {values['SLIPWAY_API__PORT']}.")
    assert find(do(values, message)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLIPWAY_API__HOST", "192.0.2.1"),
        ("SLIPWAY_FLOWER__HOST", "no-such-host.invalid"),
    ],
)
def test_a_host_that_is_not_this_machine(values: dict[str, str], name: str, value: str) -> None:
    [message] = find({**values, name: value})
    assert f"cannot listen on {value}:" in message
    assert f"Set {name}=127.0.0.1 in" in message
    assert find(do(values, message)) == []


def test_the_media_host_listens_where_the_sandbox_does(values: dict[str, str]) -> None:
    port, free = (values[name].rpartition(":")[2] for name in NAMES[2:])
    wrong = {**values, "SLIPWAY_SANDBOX__URL": f"http://192.0.2.1:{port}"}
    [message] = find(wrong)
    assert f"the sandbox cannot listen on 192.0.2.1:{port}" in message
    assert find(do(wrong, message)) == []
    elsewhere = {**values, "SLIPWAY_SANDBOX__MEDIA_URL": "http://media.invalid:" + free}
    assert find(elsewhere) == [], "the name is for clients"


def test_the_last_port_is_followed_by_a_lower_one(values: dict[str, str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 65_535))
        holder.listen()
        values["SLIPWAY_API__PORT"] = "65535"
        [message] = find(values)
        assert find(do(values, message)) == []


def test_the_place_is_where_the_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "mine.env"
    file.write_text("SLIPWAY_API__PORT=1\nSLIPWAY_FLOWER__PORT=2\n")
    environment = {"SLIPWAY_SETTINGS_FILE": str(file), "SLIPWAY_API__PORT": "3"}
    places = [find_place(tmp_path / "data", environment, name) for name in NAMES[:3]]
    assert places == ["the environment", str(file), str(tmp_path / "data" / "settings.env")]
