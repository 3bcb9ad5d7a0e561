"""Every page that changes something writes an audit row of its user, and a new one cannot forget to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.routing import Route

from pipeline.dashboard.app import create_dashboard
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.store.database import rows
from tests.pipeline.api.running_server import serving
from tests.pipeline.dashboard.site import HOME, PASSWORD, Client, Site, Someone
from tests.pipeline.dashboard.test_accounts_page import APP
from tests.pipeline.dashboard.test_post_actions import AGREED, done, press
from tests.pipeline.dashboard.test_queue_actions import send, start
from tests.pipeline.dashboard.test_sessions import end, find_id
from tests.pipeline.store.ledger import HOUR, Ledger

CHANGES_NOTHING = {"/queue/count": "counts"}
"""Routes that are no GET and write no row, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A site with a user who is logged in as an admin of all workspaces."""

    site: Site
    ledger: Ledger
    user: Someone
    client: Client

    def decide(self) -> None:
        post = self.ledger.fresh(State.BLOCKED)
        self.send(f"/dashboard/deliveries/{post.deliveries[0]}/decide", {"decision": "resume"}, 303)

    def steer(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        start(self.site, self.client, action="cancel", scope="some", delivery=post.deliveries)

    def stop(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        [job] = start(self.site, self.client, action="cancel", scope="some", delivery=post.deliveries)
        self.send(f"/dashboard/jobs/{job}/stop", {}, 303)

    def reschedule(self) -> None:
        post, form = self.ledger.fresh(due=HOUR), {"scheduled_at": "2031-03-01T10:00:00Z", "version": "*"}
        done(press(self.client, post, "reschedule", form), post, "reschedule")

    def cancel(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        done(press(self.client, post, "cancel", AGREED), post, "cancel")

    def pause(self) -> str:
        account = str(self.ledger.account(self.site.tenant.workspace))
        self.send("/dashboard/pauses", {"what": f"account:{account}", "why": "checking"}, 303)
        return account

    def lift(self) -> None:
        self.send("/dashboard/pauses/end", {"scope": "account", "target": self.pause()}, 303)

    def connect(self) -> None:
        where = {"workspace": str(self.site.tenant.workspace), "platform": "linkedin"}
        self.send("/dashboard/accounts/connect", where, 200)

    def end_another(self) -> None:
        with self.site.log_in(self.user) as other:
            session = find_id(self.site, other)
        assert end(self.client, session).status_code == 303

    def log_in(self) -> None:
        with self.site.open() as client:
            assert self.site.try_login(client, self.user.login, PASSWORD).status_code == 303

    def log_out(self) -> None:
        with self.site.log_in(self.user) as client:
            client.post("/dashboard/logout", allow_redirects=False)
            assert client.get(HOME, allow_redirects=False).status_code == 303

    def send(self, path: str, fields: Any, status: int) -> None:
        send(self.site, self.client, path, fields, status)


CHANGES: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "/login": ("start session", Scene.log_in),
    "/logout": ("end session", Scene.log_out),
    "/sessions/{session_id}/end": ("end session", Scene.end_another),
    "/deliveries/{delivery_id}/decide": ("resume post", Scene.decide),
    "/accounts/connect": ("begin sign-in", Scene.connect),
    "/pauses": ("pause pause", Scene.pause),
    "/pauses/end": ("lift pause", Scene.lift),
    "/posts/{post_id}/deliveries/{delivery_id}/{verb}": ("cancel post", Scene.cancel),
    "/posts/{post_id}/reschedule": ("edit post", Scene.reschedule),
    "/queue/start": ("cancel steering job", Scene.steer),
    "/jobs/{job_id}/stop": ("stop steering job", Scene.stop),
}
"""Path of a route that changes something -> what is recorded, and how a user gets there."""


@pytest.fixture(scope="module")
def site(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with an app at LinkedIn."""
    with serving({**module_environment, **APP}, tmp_path_factory.mktemp("pages")) as server:
        yield Site(server=server, tenant=server.tenant())


@pytest.fixture
def scene(site: Site, ledger: Ledger) -> Scene:
    user = site.add_user({None: Role.ADMIN})
    return Scene(site=site, ledger=ledger, user=user, client=site.log_in(user))


def test_every_route_is_known_to_change_something_or_nothing() -> None:
    found = {
        route.path
        for route in create_dashboard().routes
        if isinstance(route, Route) and (route.methods or set()) - {"GET", "HEAD"}
    }
    assert found == CHANGES.keys() | CHANGES_NOTHING.keys(), "add the route to one of the tables"


@pytest.mark.parametrize("path", CHANGES)
def test_a_page_that_changes_something_is_recorded_with_its_user(scene: Scene, path: str) -> None:
    what, work = CHANGES[path]
    work(scene)
    with scene.ledger.database.begin() as c:
        found = rows(c, "SELECT * FROM audit WHERE actor_id = :id ORDER BY id", id=scene.user.id)
    [one] = [one for one in found if f"{one.verb} {one.kind}" == what][-1:]
    assert (one.actor_kind, one.actor_name, one.address) == ("user", scene.user.login, "127.0.0.1")
    assert one.request_id
    assert PASSWORD not in str(found)
