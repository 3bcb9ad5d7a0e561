"""Run a load of posts under faults, then report whether any was lost or published twice.

`python -m tests.chaos [--posts N] [--seed S] [--minutes M] [--json FILE] [--html FILE] [--keep FOLDER]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import requests

from pipeline.store.database import Unreachable
from tests.chaos import clock, disk, plan, scorecard
from tests.chaos.approvals import Approver, create_agent
from tests.chaos.client import Client, SentPost
from tests.chaos.drain import Drain
from tests.chaos.fault_injector import FaultInjector
from tests.chaos.importing import LONGEST, Importer
from tests.chaos.judge import ReportedState, Verdict, find_doubles, judge, name_comment, read_comment
from tests.chaos.posts import Posts, list_expectations
from tests.chaos.scorecard import AIMS, ONLY, SANDBOX
from tests.chaos.system import SystemUnderTest, build_system, list_sites
from tests.stack import is_answering, until

PER_MINUTE = 8_000
"""Posts per minute that two cores accept under faults; more posts make the run longer than two minutes."""
ANSWER_LIMIT = 60.0
"""Seconds without one more accepted post after which the client stops."""
READING_SHARE = 0.2
"""Largest share of the time spent reading states, which costs the API work when there are many posts."""
OVERTIME = 90.0
"""Seconds a run may be extended when there were too few kills between arm and answer."""
STALLED_AFTER = 240
"""Seconds without one tick after which the run aborts with a traceback."""
READ_LEDGER = 3.0
"""Seconds between two looks for a double post, where the run ends with the first."""


def main() -> int:
    """Run, print the scorecard, and return 0 if there was no violation, else 1."""
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 31)
    minutes = arguments.minutes or max(2.0, arguments.posts / PER_MINUTE)
    began = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {text}", file=sys.stderr, flush=True)

    skew = clock.build_environment()
    about = {
        "seed": seed,
        "posts": arguments.posts,
        "minutes": minutes,
        "platforms": ", ".join(list_sites()),
        "wrong clock": f"one publish worker, {clock.AHEAD} s ahead" if skew else clock.MISSING,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
    }
    log(f"seed {seed}, {arguments.posts} posts, {minutes:g} minutes, {about['platforms']}")
    with build_system(seed, max(4, arguments.posts // 400), skew) as system:
        about["full disk"] = "the database's own" if system.disk else disk.MISSING
        run = Run(system, seed, arguments, minutes * 60, log)
        try:
            verdict = run()
        finally:
            if arguments.keep:
                run.keep(arguments.keep)
        about |= run.notes | {"seconds": round(time.monotonic() - began)}
        found = scorecard.build_report(verdict, run.injector.tally, about, only=arguments.only)
    print("\n".join(scorecard.format_lines(found)))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.html:
        arguments.html.write_text(scorecard.render_html(found))
    return 0 if found["verdict"] == "kept" else 1


class Run:
    """One chaos run: load, faults, drain, verdict."""

    def __init__(
        self,
        system: SystemUnderTest,
        seed: int,
        arguments: argparse.Namespace,
        seconds: float,
        log: Callable[[str], None],
    ) -> None:
        self.system, self.seconds, self.log = system, seconds, log
        self._only, self._until_broken = arguments.only, arguments.until_broken
        number = arguments.posts
        self.notes: dict[str, Any] = {}
        names = list(plan.AIMED_SITES) if self._only == AIMS else sorted(system.owners)
        every = max(0.4, 0.9 * 300 / number)
        self._sandbox_faults = (
            [] if self._only == AIMS else plan.plan_sandbox_faults(seed, seconds, names, every=every)
        )
        self._posts = Posts(system, seed)
        self.sent = [
            self._posts.build(one, by_agent=True) for one in plan.plan_posts(seed, number, seconds, names)
        ]
        planned, self._import_point = plan.plan_imported(seed, number, seconds, names)
        imported = [self._posts.build(one, by_agent=False) for one in planned]
        until(lambda: is_answering(f"{system.stack.api}/healthz"), 90, lambda: "the API does not answer")
        until(lambda: system.stack.context.liveness.is_alive("reachability") or None, 90)
        faults = plan.plan_system_faults(seed, number, seconds) if self._only is None else []
        aims = {AIMS: plan.plan_aims(seconds, 1.0), SANDBOX: []}.get(
            self._only, plan.plan_aims(seconds, plan.AIM_EVERY)
        )
        self.injector = FaultInjector(system, faults, aims, log)
        self.client = Client(
            f"{system.stack.api}/api/partner/v1/posts",
            system.stack.key,
            create_agent(system.stack, needs_approval=True),
            self.sent,
            self._posts.build_body,
            lambda: self.injector.elapsed,
        )
        withheld = [one.word for one in self.sent if one.is_withheld]
        approver = create_agent(system.stack, may_approve=True)
        self.approver = Approver(f"{system.stack.api}/api/partner/v1/posts", approver, withheld)
        self.importer = Importer(
            system.stack.api,
            system.stack.key,
            imported if self._only is None else [],
            self._posts.build_body,
            lambda: self.injector.elapsed,
            seconds * plan.IMPORT_AT,
        )
        self._outage, self._outage_faults = plan.plan_outage(0 if self._only else seconds), list[str]()
        self._chance = random.Random(f"tokens {seed}")
        self._logged_at = self._read_at = 0.0
        self._doubles: list[str] = []

    def __call__(self) -> Verdict:
        self._run_load()
        self.injector.end_aimed()  # one runs still if a double post has ended the load
        self._await_client()
        reported = self._drain()
        self.approver.stop()
        self.notes["approvals"] = self.approver.count
        wrong = self.importer.judge()
        verdict = judge(list_expectations(self._list_all()), self.system.stack.ledger(), reported)
        verdict.violations += wrong
        if self.importer.posts:
            self.notes["import"] = self.importer.describe()
        self.notes["storms of edits, cancels and retries"] = self.client.storms.count
        if self._is_broken():  # the rest was not awaited
            self.notes["ended early"] = "at the first double post"
            verdict.violations = [v for v in verdict.violations if v.what == "duplicated"]
        return verdict

    # --- load under faults -------------------------------------------------------------------------------------------

    def _run_load(self) -> None:
        self.client.start()
        self.approver.start()
        self.importer.start()
        mend = 15.0
        while (after := self.injector.elapsed) < self.seconds or not self._is_complete(after):
            if self._is_broken():
                return
            self._tick()
            self._run_outage(after)
            while self._sandbox_faults and self._sandbox_faults[0][0] <= after:
                self._order_fault(self._sandbox_faults.pop(0)[1])
            if after >= mend:
                mend = after + 15
                self._reconnect_accounts()
            if time.monotonic() - self._logged_at > 10:
                self._logged_at = time.monotonic()
                self._progress()
            time.sleep(0.03)

    def _is_complete(self, after: float) -> bool:
        """Return whether all planned faults were injected; add kills while too few hit an armed delivery."""
        if not self.injector.is_done or self._outage_faults:
            return False
        tally = self.injector.tally
        if scorecard.is_enough(tally, self._only) or after > self.seconds + OVERTIME:
            return True
        if self._only or tally.armed >= scorecard.LEAST_ARMED:
            self.injector.add_aim(after)
        else:
            chance = self._chance.randrange(1 << 30)
            self.injector.add(plan.SystemFault(at=after, kind="kill publish", chance=chance))
        return False

    def _is_broken(self) -> bool:
        """Return whether a post is live twice, if the run ends with the first."""
        if self._until_broken and not self._doubles and time.monotonic() > self._read_at + READ_LEDGER:
            self._read_at = time.monotonic()
            self._doubles = find_doubles(self._read_ledger())
            for word in self._doubles:
                self.log(f"{word} is live twice")
        return bool(self._doubles)

    def _read_ledger(self) -> list[dict[str, Any]]:
        """Return the ledger's lines from its file: asking the sandbox would load it in a long run."""
        with (self.system.stack.folder / "sandbox" / "ledger.jsonl").open("rb") as ledger:
            return [json.loads(line) for line in ledger if line.endswith(b"\n")]

    def _run_outage(self, after: float) -> None:
        """Begin and end the outage of all platforms at its times."""
        first, last = self._outage
        if not self._outage_faults and first <= after < last:
            orders = [{"platform": site, **plan.OUTAGE_FAULT} for site in sorted(self.system.owners)]
            self._outage_faults = [
                self.system.stack.control("POST", "faults", order)["id"] for order in orders
            ]
            self.injector.tally.injected["outage of all platforms"] += 1
            self.log(f"outage of all platforms for {last - first:.0f} s")
        elif self._outage_faults and after >= last:
            for fault in self._outage_faults:
                self.system.stack.control("DELETE", f"faults/{fault}")
            self._outage_faults = []
            self.log("the outage is over")

    def _order_fault(self, order: dict[str, object]) -> None:
        self.system.stack.control("POST", "faults", order)
        if self._chance.random() < 0.04:
            rotating = [(s, o) for s, mine in self.system.owners.items() for o in mine if o.rotates]
            site, owner = self._chance.choice(rotating)
            self.system.stack.control(
                "POST", "tokens", {"platform": site, "remote_id": owner.remote_id, "state": "expired"}
            )
            self.injector.tally.injected["expire a token"] += 1
        self.injector.tally.injected[f"sandbox: {order['step']} {order['fault']}"] += 1

    def _reconnect_accounts(self) -> None:
        """Reconnect accounts that need it, as users would."""
        try:
            again = self.system.reconnect()
        except (psycopg.OperationalError, Unreachable):
            return  # the database is down, or the process that locks the row is stopped: the next call tries again
        self.notes["accounts connected again"] = self.notes.get("accounts connected again", 0) + again

    def _progress(self) -> int:
        """Log the progress and return the number of accepted posts."""
        taken = sum(one.is_taken for one in self.sent)
        armed = self.injector.tally.armed
        live = len(self._read_ledger())
        self.log(f"… {taken} posts accepted, {live} live, {armed} kills between arm and answer")
        return taken

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _await_client(self) -> None:
        """Delete the sandbox's faults and wait until the client has its last answers, or gets no more.

        In a long run the client is behind its plan by then and sends the rest now. Storms end with their last due time.
        """
        self.system.stack.control("DELETE", "faults")
        until(
            lambda: self._tick_and_return(is_answering(f"{self.system.stack.api}/healthz") or None),
            60,
            lambda: "the API did not answer after the faults ended",
        )
        taken, changed = 0, time.monotonic()
        while not (self.client.is_done or self._is_broken()) and time.monotonic() < changed + ANSWER_LIMIT:
            self._tick()
            time.sleep(0.05)
            if time.monotonic() - self._logged_at > 10:
                self._logged_at = time.monotonic()
                if (now := self._progress()) > taken:
                    taken, changed = now, time.monotonic()
        self.client.stop()
        self._await_import()
        self.approver.cancel_withheld()
        self.log("faults are over, draining …")

    def _await_import(self) -> None:
        """Wait until the import has ended, or its time is over."""
        end = time.monotonic() + LONGEST
        while not (self.importer.is_done or self._is_broken()) and time.monotonic() < end:
            self._tick()
            time.sleep(0.05)
        self.importer.stop()

    def _tick(self) -> None:
        signal.alarm(STALLED_AFTER)
        if self.importer.posts:
            self.injector.crash_once("upkeep", self._import_point)
        self.injector.tick()

    def _list_all(self) -> list[SentPost]:
        return [*self.sent, *self.importer.posts]

    def _tick_and_return(self, answer: bool | None) -> bool | None:
        self._tick()
        return answer

    def _drain(self) -> dict[tuple[str, str, str], ReportedState]:
        """Read the states through the API until nothing is left to wait for."""
        start = time.monotonic()
        drain = Drain(start, self.seconds)
        while True:
            self._tick()
            self._reconnect_accounts()
            began = time.monotonic()
            reported = self._read_states()
            taken = time.monotonic() - began
            if drain.is_over(reported, time.monotonic()) or self._is_broken():
                self.notes["drain_s"] = round(drain.changed - start)
                return reported
            if time.monotonic() - self._logged_at > 10:
                self._logged_at = time.monotonic()
                self.log(f"… not settled: {drain.describe()}")
            rest = time.monotonic() + max(1.0, taken * (1 / READING_SHARE - 1))
            while time.monotonic() < rest:
                self._tick()
                time.sleep(0.5)

    def _read_states(self) -> dict[tuple[str, str, str], ReportedState]:
        site_of = {o.id: (site, o.remote_id) for site, mine in self.system.owners.items() for o in mine}
        word_of = {one.word for one in self._list_all()}
        reported: dict[tuple[str, str, str], ReportedState] = {}
        cursor = None
        while True:
            answer = self._get("posts", {"limit": "100", **({"cursor": cursor} if cursor else {})})
            for post in answer["posts"]:
                if post["external_id"] in word_of:
                    for state in post["accounts"]["states"]:
                        site, remote = site_of[state["account_id"]]
                        reported[post["external_id"], site, remote] = ReportedState(
                            state=state["state"], reason=state["blocked_reason"], error=state["error_message"]
                        )
                        if comment := state.get("first_comment"):
                            key = post["external_id"], name_comment(site), remote
                            reported[key] = read_comment(comment)
            cursor = answer["next_cursor"]
            if not cursor:
                return reported

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        def asked() -> dict[str, Any] | None:
            self._tick()
            try:
                answer = requests.get(
                    f"{self.system.stack.api}/api/partner/v1/{path}",
                    params=dict(query),
                    timeout=30,
                    headers={"Authorization": f"Bearer {self.system.stack.key}"},
                )
            except requests.RequestException:
                return None
            data: dict[str, Any] | None = answer.json()["data"] if answer.ok else None
            return data

        return until(asked, 60, lambda: "the API does not answer")

    def keep(self, folder: Path) -> None:
        """Copy logs, the ledger, the client's list and a dump of the tables into *folder*, for debugging."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in [*self.system.folder.glob("*.log"), *self.system.folder.glob("logs/*.log")]:
            (folder / log.name).write_bytes(log.read_bytes())
        (folder / "ledger.json").write_text(json.dumps(self.system.stack.ledger(), indent=1))
        with self.system.postgres.connect("slipway") as c:
            for table in ("posts", "deliveries", "attempts", "moves", "checks", "accounts"):
                query = f"SELECT to_jsonb(x) - 'checkpoint' - 'credentials' FROM {table} x"  # noqa: S608
                rows = c.execute(query).fetchall()
                (folder / f"{table}.jsonl").write_text("".join(json.dumps(r[0]) + "\n" for r in rows))
        sent = [{"word": s.word, "tries": s.tries, "status": s.status, "said": s.message} for s in self.sent]
        (folder / "client.json").write_text(json.dumps(sent, indent=1))


def _give_up(_number: int, frame: FrameType | None) -> None:
    """Says where: what it raises may be taken for an outage there, and then the run goes on after all."""
    traceback.print_stack(frame)
    signal.alarm(STALLED_AFTER)  # cleaning up may block as well
    raise RuntimeError(f"The run made no progress for {STALLED_AFTER} s and was aborted at the line above.")


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {system}, load {os.getloadavg()[0]:.1f} at the start"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--posts", type=int, default=300, metavar="N", help="number of posts; default: %(default)s"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="seed of the faults and posts; default: random, printed at the start",
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="minutes of faults; default: 2, more for many posts"
    )
    parser.add_argument(
        "--only", choices=ONLY, help="only aimed pauses, one after the other; or only the sandbox's faults"
    )
    parser.add_argument("--until-broken", action="store_true", help="end at the first double post")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scorecard as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the scorecard as an HTML page")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy logs, ledger and tables there")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SLIPWAY_SETTINGS_FILE", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(STALLED_AFTER)
    sys.exit(main())
