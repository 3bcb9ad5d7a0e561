"""Every page that changes something writes an audit row of its user, and a new one cannot forget to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.actions.steer_step import run_steering_step
from pipeline.dashboard.app import create_dashboard
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.store.database import rows
from pipeline.store.posts.approvals import demand_of, read_approvals
from tests.pipeline.dashboard.dropped_files import IMPORTS, drop, good, write_rows
from tests.pipeline.dashboard.site import HOME, PASSWORD, Client, Site, Someone
from tests.pipeline.dashboard.test_accounts_page import SERVER_SETTINGS as AN_APP
from tests.pipeline.dashboard.test_compose import open_form
from tests.pipeline.dashboard.test_post_actions import AGREED, done, press
from tests.pipeline.dashboard.test_queue_actions import send, start
from tests.pipeline.dashboard.test_second_factor import turn_on
from tests.pipeline.dashboard.test_sessions import end, find_id
from tests.pipeline.media import samples
from tests.pipeline.store.ledger import HOUR, Ledger

SERVER_SETTINGS = AN_APP
KEYS, PEOPLE = "/dashboard/settings/keys", "/dashboard/settings/people"
CLIENTS, HOOK = "/dashboard/settings/clients", "https://hooks.example.com/x"
HOOKS, NOTICES = "/dashboard/settings/webhooks", "/dashboard/settings/notices"
CHANGES_NOTHING = {
    "/new/check": "what a user types, which nobody else sees",
    "/fill/plan": "a plan, which is only shown",
    "/clock": "a cookie of the browser",
    "/settings/second-factor": "a secret that nothing asks for before a code of it was given",
    "/approve/{token}": "in the name of a link: tests/pipeline/dashboard/test_approvals.py",
}
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
        start(self.site, self.client, action="cancel", scope="some", post=post.id)

    def confirm(self) -> None:
        post = self.ledger.fresh(State.FAILED)
        start(self.site, self.client, action="replay", scope="some", post=post.id)

    def stop(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        [job] = start(self.site, self.client, action="cancel", scope="some", post=post.id)
        self.send(f"/dashboard/jobs/{job}/stop", {}, 303)

    def undo(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        [job] = start(self.site, self.client, action="pause", scope="some", post=post.id)
        for _ in range(2):
            run_steering_step(self.site.server.context, job)
        self.send("/dashboard/jobs/undo", {"id": str(job)}, 303)

    def reschedule(self) -> None:
        post, form = self.ledger.fresh(due=HOUR), {"scheduled_at": "2031-03-01T10:00:00Z", "version": "*"}
        done(press(self.client, post, "reschedule", form), post, "reschedule")

    def undo_move(self) -> None:
        post, form = self.ledger.fresh(due=HOUR), {"scheduled_at": "2031-03-01T10:00:00Z", "version": "*"}
        done(press(self.client, post, "reschedule", form), post, "reschedule")
        [undo] = re.findall(
            r'action="([^"]+/undo/[0-9]+)"', self.client.get(f"/dashboard/posts/{post.id}").text
        )
        self.send(undo, {}, 303)

    def cancel(self) -> None:
        post = self.ledger.fresh(due=HOUR)
        done(press(self.client, post, "cancel", AGREED), post, "cancel")

    def wait(self) -> dict[str, str]:
        """Have a post wait for an approval; return the field that answers for it."""
        post = self.ledger.fresh(due=HOUR)
        with self.site.server.context.database.begin() as c:
            demand_of(c, [post.id], "key x")
            found = read_approvals(c, [post.id])[post.id]
        return {"post": f"{post.id}.{found.hash}"}

    def approve(self) -> None:
        self.send("/dashboard/approval", {**self.wait(), "verb": "approve"}, 303)

    def make_link(self) -> None:
        self.send("/dashboard/approval/links", self.wait(), 200)

    def take_back_link(self) -> None:
        self.make_link()
        page = self.client.get("/dashboard/approval").text
        form = dict(re.findall(r'name="(workspace|link)" value="([0-9a-f-]{36})"', page))
        self.send("/dashboard/approval/links/end", form, 303)

    def pause(self) -> str:
        account = str(self.ledger.account(self.site.tenant.workspace))
        self.send("/dashboard/pauses", {"what": f"account:{account}", "why": "checking"}, 303)
        return account

    def lift(self) -> None:
        self.send("/dashboard/pauses/end", {"scope": "account", "target": self.pause()}, 303)

    def replace_file(self) -> None:
        post = self.ledger.fresh(State.FAILED)
        path = f"/dashboard/posts/{post.id}/deliveries/{post.deliveries[0]}/file?version=*&name=v.mp4"
        headers = {"Content-Type": "video/mp4"}
        assert self.client.post(path, data=samples.video(), headers=headers).status_code == 204

    def undo_pause(self) -> None:
        space = str(self.site.tenant.workspace)
        form = {
            "what": f"account:{self.ledger.account(self.site.tenant.workspace)}",
            "why": "checking",
            "of": space,
        }
        [audit] = re.findall(r"undo=([0-9]+)", self.client.post("/dashboard/pauses", form).url)
        self.send("/dashboard/pauses/undo", {"of": space, "undo": audit}, 303)

    def set_times(self) -> None:
        account = self.ledger.account(self.site.tenant.workspace)
        self.send(f"/dashboard/accounts/{account}/times", {"monday": "09:00", "time_zone": "UTC"}, 303)

    def connect(self) -> None:
        where = {"workspace": str(self.site.tenant.workspace), "platform": "linkedin"}
        self.send("/dashboard/accounts/connect", where, 200)

    def write(self) -> None:
        tenant = self.site.server.tenant(platforms=(Platform.FACEBOOK,))
        client = self.site.log_in(self.user)
        form = open_form(client, tenant) | {"account": tenant.accounts[Platform.FACEBOOK], "caption": "x"}
        self.send("/dashboard/new", {**form, "when": "now", "do": "send"}, 303)

    def save_group(self) -> None:
        tenant = self.site.tenant
        form = open_form(self.client, tenant) | {"account": [*tenant.accounts.values()], "group_name.": "All"}
        self.send("/dashboard/new/groups", {**form, "do": "save"}, 200)

    def create_upload(self) -> tuple[str, bytes]:
        data = samples.video()
        body = {"contentType": "video/mp4", "filename": "v.mp4", "size": len(data), "modified": 1}
        answer = self.client.post(f"/dashboard/uploads?workspace={self.site.tenant.workspace}", json=body)
        return answer.json()["address"], data

    def fill(self) -> None:
        tenant = self.site.server.tenant(platforms=(Platform.FACEBOOK,))
        form = open_form(self.client, tenant) | {
            "account": tenant.accounts[Platform.FACEBOOK],
            "caption": "x",
        }
        self.send("/dashboard/new", {**form, "when": "next", "do": "draft"}, 303)
        plan = self.client.get(f"/dashboard/fill?workspace={tenant.workspace}").text
        [take] = re.findall(r'name="take" value="([^"]+)"', plan)
        self.send("/dashboard/fill", {"take": take}, 200)

    def send_file(self) -> None:
        address, data = self.create_upload()
        assert self.client.patch(f"{address}?offset=0", data=data).json()["url"]

    def drop(self) -> None:
        drop(self.site, self.client, write_rows(good(1)))

    def stop_import(self) -> None:
        identity = drop(self.site, self.client, write_rows(good(1)))
        self.send(f"{IMPORTS}/{identity}/cancel", {}, 303)

    def end_another(self) -> None:
        with self.site.log_in(self.user) as other:
            session = find_id(self.site, other)
        assert end(self.client, session).status_code == 303

    def make_key(self) -> str:
        name = f"key {self.user.id}"
        self.send(KEYS, {"workspace": str(self.site.tenant.workspace), "key_name": name}, 200)
        shown = self.client.get(KEYS).text.partition(name)[2]
        return str(re.findall(r"take_back=(slw_live_\w+)", shown)[0])

    def take_back(self) -> None:
        public, space = self.make_key(), self.site.tenant.workspace
        with self.ledger.database.begin() as c:
            [client] = rows(c, "SELECT name FROM workspaces WHERE id = :id", id=space)
        self.send(f"{KEYS}/take-back", {"key": public, "name": client.name}, 303)

    def invite(self) -> None:
        form = {"workspace": str(self.site.tenant.workspace), "role": "author"}
        self.send(PEOPLE, {**form, "login": f"new-{self.user.login}"}, 200)

    def change_person(self, what: str, status: int = 303) -> None:
        other = self.site.add_user({})
        form = {"user": str(other.id), "role": "viewer", "workspace": str(self.site.tenant.workspace)}
        self.send(f"{PEOPLE}/{what}", form, status)

    def make_webhook(self) -> str:
        self.send(HOOKS, {"workspace": str(self.site.tenant.workspace), "url": HOOK}, 200)
        return str(re.findall(rf'href="({HOOKS}/[0-9a-f-]+)"', self.client.get(HOOKS).text)[-1])

    def test_webhook(self) -> None:
        self.send(f"{self.make_webhook()}/test", {}, 303)

    def add_notice(self) -> dict[str, str]:
        self.send(NOTICES, {"workspace": "all", "form": "slack", "address": HOOK}, 303)
        return {"target": re.findall(r'id="target-([0-9a-f-]+)"', self.client.get(NOTICES).text)[-1]}

    def change_notice(self, what: str) -> None:
        self.send(f"{NOTICES}/{what}", self.add_notice(), 303)

    def change_client(self) -> None:
        form = {"client": str(self.site.server.tenant().workspace), "needed": "needed"}
        self.send(f"{CLIENTS}/approval", form, 303)

    def add_client(self) -> None:
        self.send(CLIENTS, {"name": self.user.login, "time_zone": "UTC", "plan": "creator"}, 303)

    def turn_on(self) -> list[str]:
        return turn_on(self.client)[1]

    def turn_off(self) -> None:
        self.send("/dashboard/settings/second-factor/drop", {"code": self.turn_on()[0]}, 303)

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
    "/accounts/{account_id}/times": ("set posting times account", Scene.set_times),
    "/imports": ("create import", Scene.drop),
    "/imports/{import_id}/{verb}": ("cancel import", Scene.stop_import),
    "/new": ("create post", Scene.write),
    "/new/groups": ("save account group workspace", Scene.save_group),
    "/uploads": ("open file", Scene.create_upload),
    "/uploads/{upload_id}": ("store file", Scene.send_file),
    "/fill": ("edit post", Scene.fill),
    "/pauses": ("pause pause", Scene.pause),
    "/pauses/end": ("lift pause", Scene.lift),
    "/pauses/undo": ("undo pause", Scene.undo_pause),
    "/posts/{post_id}/deliveries/{delivery_id}/{verb}": ("cancel post", Scene.cancel),
    "/posts/{post_id}/deliveries/{delivery_id}/file": ("retry post", Scene.replace_file),
    "/approval": ("approve post", Scene.approve),
    "/approval/links": ("create approval link", Scene.make_link),
    "/approval/links/end": ("take back approval link", Scene.take_back_link),
    "/posts/{post_id}/reschedule": ("edit post", Scene.reschedule),
    "/posts/{post_id}/undo/{change}": ("undo post", Scene.undo_move),
    "/queue/count": ("cancel steering job", Scene.steer),
    "/queue/start": ("replay steering job", Scene.confirm),
    "/settings/keys": ("create key", Scene.make_key),
    "/settings/keys/take-back": ("revoke key", Scene.take_back),
    "/settings/webhooks": ("create webhook", Scene.make_webhook),
    "/settings/webhooks/{webhook_id}/{verb}": ("test webhook", Scene.test_webhook),
    "/settings/notices": ("create notice", Scene.add_notice),
    "/settings/notices/test": ("test notice", lambda scene: scene.change_notice("test")),
    "/settings/notices/delete": ("delete notice", lambda scene: scene.change_notice("delete")),
    "/settings/clients": ("create workspace", Scene.add_client),
    "/settings/clients/{rule}": ("set approval workspace", Scene.change_client),
    "/settings/people": ("grant user", Scene.invite),
    "/settings/people/role": ("grant user", lambda scene: scene.change_person("role")),
    "/settings/people/disable": ("disable user", lambda scene: scene.change_person("disable")),
    "/settings/people/reset": ("reset user", lambda scene: scene.change_person("reset", 200)),
    "/settings/second-factor/confirm": ("turn on second factor user", Scene.turn_on),
    "/settings/second-factor/drop": ("turn off second factor user", Scene.turn_off),
    "/jobs/undo": ("undo steering job", Scene.undo),
    "/jobs/{job_id}/stop": ("stop steering job", Scene.stop),
}
"""Path of a route that changes something -> what is recorded, and how a user gets there."""


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
