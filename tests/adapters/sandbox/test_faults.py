"""Each fault has its documented effect, at its step, for its account, as many times as requested."""

from collections.abc import Callable

import pytest
import requests

from adapters.sandbox.faults import FAULTS, WITH_STATUS
from tests.adapters.sandbox.clients import Business, Instagram, TikTok
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM
from tests.adapters.sandbox.process import Sandbox

INIT = "post/publish/content/init/"


@pytest.fixture
def poster(quick: Sandbox) -> TikTok:
    return TikTok(sandbox=quick, account=quick.account("tiktok"))


def post(poster: TikTok) -> requests.Response:
    return poster.post(INIT, poster.photo_body())


def error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [("<html>Access denied</html>", "text/html"), ("{}", "application/json"), ("", "text/plain")],
)
@pytest.mark.parametrize(("fault", "live"), [("answer", 0), ("effect-then-answer", 1)])
def test_any_answer_comes_with_or_without_the_effect(
    poster: TikTok, fault: str, live: int, body: str, kind: str
) -> None:
    poster.sandbox.fault("tiktok", "finalize", fault, status=401, body=body)
    answer = post(poster)
    assert (answer.status_code, answer.text) == (401, body)
    assert answer.headers["Content-Type"].startswith(kind)
    assert len(poster.sandbox.ledger()) == live
    assert error(post(poster)) == (200, "ok")


def test_a_refused_request_leaves_an_effect_fault_unspent(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "finalize", "effect-then-5xx")
    assert error(poster.post(INIT, {})) == (400, "invalid_params")
    assert poster.sandbox.control_json("GET", "faults")[0]["left"] == 1
    assert error(post(poster)) == (500, "internal_error")
    assert poster.sandbox.control_json("GET", "faults")[0]["left"] == 0


def test_what_is_stuck_goes_on_when_the_fault_is_cleared(poster: TikTok) -> None:
    fault = poster.sandbox.fault("tiktok", "finalize", "stuck-processing")
    stuck, free = poster.photos(), poster.photos()
    assert poster.status(free)["status"] == "PUBLISH_COMPLETE"
    assert poster.status(stuck)["status"] == "PROCESSING_DOWNLOAD"
    assert [entry["handle"] for entry in poster.sandbox.ledger()] == [free]
    poster.sandbox.control_json("DELETE", f"faults/{fault}")
    assert poster.wait_until_ended(stuck)["status"] == "PUBLISH_COMPLETE"
    assert [entry["handle"] for entry in poster.sandbox.ledger()] == [free, stuck]


def test_processing_fails_with_the_reason_that_was_ordered(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "any", "fail-processing", reason="spam_risk")
    ended = poster.wait_until_ended(poster.photos())
    assert (ended["status"], ended["fail_reason"]) == ("FAILED", "spam_risk")
    assert poster.sandbox.ledger() == []


def test_late_visibility_keeps_a_live_post_out_of_status_and_list(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "finalize", "late-visibility", delay_ms=60_000)
    publish_id = poster.photos()

    def seen() -> tuple[int, int]:
        listed = poster.post("video/list/?fields=id", {}).json()["data"]["videos"]
        return len(poster.status(publish_id)["publicaly_available_post_id"]), len(listed)

    assert (seen(), len(poster.sandbox.ledger())) == ((0, 0), 1)
    poster.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert seen() == (1, 1)


def test_a_fault_strikes_only_its_step_its_account_and_so_often(poster: TikTok) -> None:
    other = TikTok(sandbox=poster.sandbox, account=poster.sandbox.account("tiktok", "bob"))
    poster.sandbox.fault("tiktok", "finalize", "5xx", times=2, account=other.account.remote_id)
    assert error(post(poster)) == (200, "ok")
    assert other.post("post/publish/creator_info/query/").ok
    assert [post(other).status_code for _ in range(3)] == [500, 500, 200]


def test_latency_holds_the_answer_back_and_garbage_replaces_it(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "finalize", "latency", delay_ms=200)
    answer = post(poster)
    assert (answer.ok, answer.elapsed.total_seconds() >= 0.2) == (True, True)
    poster.sandbox.fault("tiktok", "finalize", "effect-then-garbage")
    garbage = post(poster)
    assert (garbage.status_code, garbage.content[:7]) == (200, b"<html>\x00")
    assert len(poster.sandbox.ledger()) == 2


def test_a_fault_without_times_strikes_until_it_is_cleared(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "any", "5xx", times=None)
    assert [post(poster).status_code for _ in range(3)] == [500, 500, 500]
    poster.sandbox.control_json("DELETE", "faults")
    assert post(poster).ok


def test_status_is_another_word_for_look(poster: TikTok) -> None:
    publish_id = poster.photos()
    poster.sandbox.fault("tiktok", "status", "5xx")
    assert poster.post("post/publish/status/fetch/", {"publish_id": publish_id}).status_code == 500


def test_spam_risk_in_creator_info_comes_with_http_200(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "creator_info", "quota-exhausted")
    assert error(poster.post("post/publish/creator_info/query/")) == (200, "spam_risk_too_many_posts")


def test_a_broken_pull_fails_the_post(poster: TikTok) -> None:
    poster.sandbox.fault("tiktok", "media", "5xx")
    assert poster.wait_until_ended(poster.photos())["fail_reason"] == "photo_pull_failed"


def test_a_business_publish_can_lose_its_answer(quick: Sandbox) -> None:
    business = Business(sandbox=quick, account=quick.account("tiktok_business"))
    quick.fault("tiktok_business", "finalize", "effect-then-drop")
    with pytest.raises(requests.ConnectionError):
        business.video()
    assert len(quick.ledger("tiktok_business")) == 1
    quick.fault("tiktok_business", "look", "429", retry_after=300)
    limited = business.call("GET", "business/publish/status/", business_id=business.account.remote_id)
    assert (limited.status_code, limited.json()["code"]) == (429, 40100)
    quick.fault("tiktok_business", "finalize", "token-expired")
    assert business.video()["code"] == 40102
    quick.fault("tiktok_business", "finalize", "quota-exhausted")
    assert business.video()["code"] == 40002


def test_instagrams_limit_counts_as_reached(quick: Sandbox) -> None:
    instagram = Instagram(sandbox=quick, account=quick.account("instagram"))
    quick.fault("instagram", "quota", "quota-exhausted")
    path = f"{instagram.account.remote_id}/content_publishing_limit"
    assert instagram.call("GET", path).json()["data"][0]["quota_usage"] == 50


def test_an_instagram_container_fails_with_the_subcode_that_was_ordered(quick: Sandbox) -> None:
    instagram = Instagram(sandbox=quick, account=quick.account("instagram"))
    quick.fault("instagram", "prepare", "fail-processing", reason="2207053")
    container = instagram.image()
    status = instagram.call("GET", container, fields="status_code,status").json()
    assert (status["status_code"], status["status"][-7:]) == ("ERROR", "2207053")


@pytest.mark.parametrize(
    ("fault", "seen"), [("5xx", 503), ("429", 429), ("drop", None)], ids=["5xx", "429", "drop"]
)
def test_the_media_host_can_fail(quick: Sandbox, fault: str, seen: int | None) -> None:
    quick.fault("media", "media", fault)
    try:
        answer = requests.get(quick.media("sample-1.jpg"), timeout=30)
    except requests.ConnectionError:
        assert seen is None
    else:
        assert answer.status_code == seen
    assert requests.get(quick.media("sample-1.jpg"), timeout=30).status_code == 200


def test_tokens_expire_are_revoked_and_come_back(poster: TikTok) -> None:
    account = {"platform": "tiktok", "remote_id": poster.account.remote_id}

    def state(state: str) -> dict[str, str]:
        answer: dict[str, str] = poster.sandbox.control_json("POST", "tokens", account | {"state": state})
        return answer

    state("expired")
    assert error(post(poster)) == (401, "access_token_invalid")
    vendor = VENDORS_BY_PLATFORM["tiktok"]
    fresh = vendor.refresh(poster.sandbox, poster.account.refresh_token).json()
    assert poster.post(INIT, poster.photo_body(), fresh["access_token"]).ok
    state("revoked")
    assert vendor.refresh(poster.sandbox, fresh["refresh_token"]).json()["error"] == "invalid_grant"
    again = state("valid")
    assert poster.post(INIT, poster.photo_body(), again["access_token"]).ok


def _unknown(field: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda body: body | {field: "nonsense"}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_unknown("platform"), "instagram"),
        (_unknown("step"), "finalize"),
        (_unknown("fault"), "effect-then-drop"),
    ],
    ids=["platform", "step", "fault"],
)
def test_what_is_unknown_is_refused_with_what_is_known(
    sandbox: Sandbox, spoil: Callable[[dict[str, str]], dict[str, str]], named: str
) -> None:
    answer = sandbox.control("POST", "faults", spoil({"platform": "tiktok", "step": "any", "fault": "drop"}))
    assert (answer.status_code, named in answer.json()["error"]) == (422, True)


def test_every_fault_that_is_offered_can_be_ordered_and_cleared(sandbox: Sandbox) -> None:
    more = {fault: {"status": 401} for fault in WITH_STATUS}
    ids = [sandbox.fault("instagram", "any", fault, **more.get(fault, {})) for fault in FAULTS]
    assert [fault["fault"] for fault in sandbox.control_json("GET", "faults")] == list(FAULTS)
    for key in ids:
        sandbox.control_json("DELETE", f"faults/{key}")
    assert sandbox.control_json("GET", "faults") == []
    assert sandbox.control("DELETE", "faults/1").status_code == 404
