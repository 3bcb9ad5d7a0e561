"""The hosts of a queue: what each of them sees, until it says that it stops or gives no sign of life for an hour."""

from __future__ import annotations

from datetime import timedelta

from pipeline.store.canaries import HOST_KEPT, list_hosts, read_silences, record_consumed, record_host
from pipeline.store.database import row
from tests.pipeline.store.ledger import Ledger


def report(ledger: Ledger, host: str, files: str | None) -> None:
    ledger.do(
        record_host, ["delay", "status", "never-consumed"], host, None if files is None else {"files": files}
    )


def read(ledger: Ledger) -> dict[tuple[str, str], str | None]:
    hosts = ledger.do(list_hosts)
    assert all(host.age < timedelta(minutes=1) for host in hosts)
    return {(host.name, host.queue): host.facts["files"] for host in hosts}


def test_each_host_of_a_queue_is_listed_with_what_it_saw_last(ledger: Ledger) -> None:
    ledger.do(record_consumed, ["delay", "status"])
    for host, files in (("a", "one"), ("b", "two"), ("b", "three")):
        report(ledger, host, files)
    expected = {("a", "delay"): "one", ("b", "delay"): "three"}
    assert read(ledger) == expected | {("a", "status"): "one", ("b", "status"): "three"}
    with ledger.database.begin() as c:
        record_consumed(c, ["delay"])
        assert read_silences(c).keys() == {"delay", "status"}, "a report is no proof of consumption"
    report(ledger, "b", None)
    assert {host for host, _ in read(ledger)} == {"a"}


def test_a_host_that_is_gone_is_forgotten(ledger: Ledger) -> None:
    ledger.do(record_consumed, ["delay"])
    report(ledger, "gone", "one")
    age = """UPDATE canaries SET hosts = jsonb_set(hosts, '{gone,at}', to_jsonb(now() - CAST(:kept AS interval)))
             RETURNING queue"""
    ledger.do(row, age, kept=HOST_KEPT)
    assert read(ledger) == {}
    report(ledger, "here", "one")
    found = ledger.do(row, "SELECT hosts FROM canaries")
    assert found is not None
    assert found.hosts.keys() == {"here"}
