"""The fetcher against real servers: what it refuses, when it gives up, and what its errors reveal."""

from __future__ import annotations

import time

import pytest

from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.media.url_policy import NOT_PUBLIC, Refused, Unanswered
from tests.pipeline.media.conftest import PUBLIC, Internet
from tests.pipeline.media.servers import Answer, Handler, Site, drip, endless, file, status

DATA = bytes(range(256)) * 1024


def _read(fetcher: Fetcher, url: str, first: int = 0, length: int = 1000) -> bytes:
    with fetcher.open_range(url, first, length) as source:
        return b"".join(source.chunks)


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
def test_a_range_is_the_same_whether_the_server_knows_ranges_or_not(
    site: Site, fetcher: Fetcher, *, ranges: bool
) -> None:
    site.routes["/f"] = file(DATA, "Video/MP4; codecs=x", ranges=ranges, ETag='"v1"')
    with fetcher.open_range(f"{site.origin}/f", 100_001, 70_000) as source:
        chunks = list(source.chunks)
    assert b"".join(chunks) == DATA[100_001:170_001]
    assert [len(chunk) for chunk in chunks] == [65536, 70_000 - 65536]
    seen = (source.status, source.content_type, source.total_bytes, source.etag)
    assert seen == (206 if ranges else 200, "video/mp4", len(DATA), '"v1"')


@pytest.mark.parametrize("ranges", [True, False])
def test_a_range_that_reaches_over_the_end_ends_there(site: Site, fetcher: Fetcher, *, ranges: bool) -> None:
    site.routes["/f"] = file(DATA, ranges=ranges)
    assert _read(fetcher, f"{site.origin}/f", len(DATA) - 10, 1000) == DATA[-10:]


@pytest.mark.parametrize("header", ['W/"weak"', "bare", '"a"b"', ""])
def test_only_strong_etags_count(site: Site, fetcher: Fetcher, header: str) -> None:
    site.routes["/f"] = file(DATA, ETag=header)
    with fetcher.open_range(f"{site.origin}/f", 0, 1) as source:
        assert source.etag is None


def test_a_body_without_a_size_is_read_to_its_end(site: Site, fetcher: Fetcher) -> None:
    def chunked(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        handler.put(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    def until_close(handler: Handler) -> None:
        handler.head(200)
        handler.put(b"hello world")

    site.routes |= {"/chunked": chunked, "/close": until_close}
    for path in site.routes:
        with fetcher.open_range(site.origin + path, 2, 1000) as source:
            assert (source.total_bytes, b"".join(source.chunks)) == (None, b"llo world")


def test_nothing_of_ours_is_sent_along(site: Site, fetcher: Fetcher) -> None:
    site.routes["/f"] = file(DATA)
    _read(fetcher, f"{site.origin}/f?q=1")
    [(path, headers)] = site.requests
    assert path == "/f?q=1"
    assert set(headers) == {"Host", "Range", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


# --- what is refused, and what is only unanswered -------------------------------------------------------------------


def _gzip(handler: Handler) -> None:
    handler.head(200, Content_Encoding="gzip", Content_Length=0)


def _wrong_range(handler: Handler) -> None:
    handler.head(206, Content_Range="bytes 5-9/100", Content_Length=5)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (status(404), Refused, "HTTP 404"),
        (status(401), Refused, "HTTP 401"),
        (status(403), Refused, "HTTP 403"),
        (status(410), Refused, "HTTP 410"),
        (status(418), Refused, "HTTP 418"),
        (status(204), Refused, "HTTP 204"),
        (status(302), Refused, "HTTP 302 without a destination"),
        (status(416, Content_Range="bytes */0"), Refused, "the file is empty"),
        (status(206), Refused, "HTTP 206 with a Content-Range"),
        (_wrong_range, Refused, "HTTP 206 with a Content-Range"),
        (_gzip, Refused, "served compressed"),
        (status(429), Unanswered, "HTTP 429"),
        (status(408), Unanswered, "HTTP 408"),
        (status(500), Unanswered, "HTTP 500"),
        (status(503), Unanswered, "HTTP 503"),
        (lambda handler: handler.put(b"SSH-2.0-OpenSSH\r\n"), Unanswered, "no valid HTTP answer"),
        (lambda _: None, Unanswered, "no connection"),
    ],
)
def test_each_answer_has_its_class(
    site: Site, fetcher: Fetcher, answer: Answer, kind: type[Exception], reason: str
) -> None:
    site.routes["/f"] = answer
    with pytest.raises(kind, match=f"^{reason}"):
        _read(fetcher, f"{site.origin}/f")


def test_a_file_that_is_too_large_is_refused_before_its_body(site: Site) -> None:
    site.routes["/f"] = file(DATA)
    fetcher = Fetcher(FetchPolicy(allowed_origins=frozenset({site.origin}), max_bytes=len(DATA) - 1))
    with pytest.raises(Refused, match="larger than"):
        _read(fetcher, f"{site.origin}/f")


def test_a_source_without_ranges_is_not_read_over_for_ever(site: Site) -> None:
    site.routes["/f"] = endless
    fetcher = Fetcher(FetchPolicy(allowed_origins=frozenset({site.origin}), max_skip=1000))
    with pytest.raises(Refused, match="range requests"):
        _read(fetcher, f"{site.origin}/f", 1001)


def test_no_more_is_read_of_a_huge_body_than_was_asked_for(site: Site, fetcher: Fetcher) -> None:
    site.routes["/f"] = endless
    assert len(_read(fetcher, f"{site.origin}/f", 0, 100_000)) == 100_000


@pytest.mark.parametrize(
    "headers",
    [{"Content_Length": 5000}, {"Content_Range": "bytes 0-999/5000", "Content_Length": 1000}],
)
def test_a_body_shorter_than_its_headers_say_is_unanswered(
    site: Site, fetcher: Fetcher, headers: dict[str, str | int]
) -> None:
    def lie(handler: Handler) -> None:
        handler.head(206 if "Content_Range" in headers else 200, **headers)
        handler.put(b"x" * 100)

    site.routes["/f"] = lie
    with pytest.raises(Unanswered, match="broke off"):
        _read(fetcher, f"{site.origin}/f")


@pytest.mark.parametrize(
    "preamble",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
)
def test_a_dripping_server_runs_out_of_time(site: Site, preamble: bytes) -> None:
    site.routes["/f"] = drip(preamble)
    policy = FetchPolicy(allowed_origins=frozenset({site.origin}), total_seconds=0.7)
    with pytest.raises(Unanswered, match=r"^no answer within 1 s$"):
        _read(Fetcher(policy), f"{site.origin}/f")


def test_interim_answers_without_end_run_out_of_time(site: Site) -> None:
    def interim(handler: Handler) -> None:
        while not handler.site.release.is_set():
            handler.put(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    site.routes["/f"] = interim
    policy = FetchPolicy(allowed_origins=frozenset({site.origin}), total_seconds=0.5)
    with pytest.raises(Unanswered):
        _read(Fetcher(policy), f"{site.origin}/f")


def test_a_slow_consumer_is_not_the_sources_fault(site: Site) -> None:
    site.routes["/f"] = file(bytes(8_000_000))
    policy = FetchPolicy(allowed_origins=frozenset({site.origin}), total_seconds=0.3, slowest=10**9)
    started = time.monotonic()
    with Fetcher(policy).open_range(f"{site.origin}/f", 0, 8_000_000) as source:
        chunks = source.chunks
        size = len(next(chunks))
        while time.monotonic() - started < 0.5:
            hash(bytes(100_000))  # a consumer that is busy with something else
        size += sum(map(len, chunks))
    assert size == 8_000_000


def test_a_silent_resolver_is_not_waited_for(internet: Internet) -> None:
    def silent(_: str) -> list[str]:
        internet.site.release.wait(5)
        return [PUBLIC]

    fetcher = Fetcher(FetchPolicy(total_seconds=0.3), resolver=silent, dial=internet.dial, tls=internet.tls)
    with pytest.raises(Unanswered, match="no answer within"):
        _read(fetcher, "https://media.example.com/f")


def test_nobody_listening_is_unanswered(site: Site) -> None:
    gone = "http://127.0.0.1:9"
    with pytest.raises(Unanswered, match="no connection"):
        _read(Fetcher(FetchPolicy(allowed_origins=frozenset({gone}))), f"{gone}/f")


# --- TLS, names and addresses ---------------------------------------------------------------------------------------


def test_the_checked_address_is_connected_to_under_the_right_name(internet: Internet) -> None:
    internet.site.routes["/f"] = file(DATA)
    assert _read(internet.fetcher(), "https://media.example.com/f") == DATA[:1000]
    assert internet.dialled == [(PUBLIC, 443)]
    assert internet.site.names == ["media.example.com"]
    assert internet.site.requests[0][1]["Host"] == "media.example.com"


def test_a_name_with_umlauts_is_asked_for_in_ascii(internet: Internet) -> None:
    internet.site.routes["/f"] = file(DATA)
    assert _read(internet.fetcher(), "https://bücher.example/f") == DATA[:1000]
    assert (internet.looked_up, internet.site.names) == (["xn--bcher-kva.example"], ["xn--bcher-kva.example"])


def test_a_name_that_changes_its_answer_gains_nothing(internet: Internet) -> None:
    internet.site.routes["/f"] = file(DATA)
    internet.answers["media.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    _read(internet.fetcher(), "https://media.example.com/f")
    assert (internet.looked_up, internet.dialled) == (["media.example.com"], [(PUBLIC, 443)])
    with pytest.raises(Refused) as refused:  # the next request looks again, and sees the second answer
        _read(internet.fetcher(), "https://media.example.com/f")
    assert (refused.value.reason, len(internet.dialled)) == (NOT_PUBLIC, 1)


def test_a_certificate_for_another_name_is_refused(internet: Internet) -> None:
    with pytest.raises(Refused, match="certificate"):
        _read(internet.fetcher(), "https://other.example.com/f")
    assert internet.site.requests == []


def test_a_certificate_of_nobody_we_know_is_refused(internet: Internet) -> None:
    fetcher = Fetcher(FetchPolicy(), resolver=internet.resolve, dial=internet.dial)
    with pytest.raises(Refused, match="certificate"):
        _read(fetcher, "https://media.example.com/f")


def test_refusals_by_policy_all_read_the_same_and_connect_nowhere(internet: Internet) -> None:
    internet.answers |= {"intern.example.com": [["10.1.2.3"]], "mixed.example.com": [[PUBLIC, "fd00::1"]]}
    urls = [
        "https://10.1.2.3/",
        "https://intern.example.com/",
        "https://mixed.example.com/",
        "http://example.com/",
    ]
    for url in [*urls, "https://[::ffff:7f00:1]/", "https://2130706433/", "https://localhost/"]:
        with pytest.raises(Refused) as refused:
            _read(internet.fetcher(), url)
        assert str(refused.value) == NOT_PUBLIC
        assert refused.value.__cause__ is None
    assert internet.dialled == []


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/secret",
        "http://127.0.0.1/secret",
        "http://media.example.com/secret",
        "https://[::ffff:7f00:1]/secret",
        "https://169.254.169.254/latest/meta-data/",
        "https://intern.example.com/secret",
        "https://media.example.com:8443/secret",
        "https://user@media.example.com/secret",
    ],
)
def test_every_hop_of_a_redirect_is_checked(internet: Internet, location: str) -> None:
    internet.answers["intern.example.com"] = [["192.168.0.1"]]
    internet.site.routes["/f"] = status(302, Location=location)
    with pytest.raises(Refused) as refused:
        _read(internet.fetcher(), "https://media.example.com/f")
    assert refused.value.reason == NOT_PUBLIC
    assert (len(internet.dialled), internet.site.paths()) == (1, ["/f"])


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_good_redirects_are_followed_with_the_range(internet: Internet, code: int) -> None:
    internet.site.routes |= {"/f": status(code, Location="/g"), "/g": file(DATA)}
    assert _read(internet.fetcher(), "https://media.example.com/f", 5, 10) == DATA[5:15]


def test_redirect_loops_end(internet: Internet) -> None:
    internet.site.routes["/f"] = status(302, Location="/f")
    with pytest.raises(Refused, match="more than 3 redirects"):
        _read(internet.fetcher(), "https://media.example.com/f")
    assert len(internet.dialled) == 4


def test_the_open_internet_cannot_send_us_into_the_sandbox(internet: Internet, site: Site) -> None:
    site.routes["/f"] = file(DATA)
    internet.site.routes["/f"] = status(302, Location=f"{site.origin}/f")
    policy = FetchPolicy(allowed_origins=frozenset({site.origin}))
    with pytest.raises(Refused) as refused:
        _read(internet.fetcher(policy), "https://media.example.com/f")
    assert (refused.value.reason, site.requests) == (NOT_PUBLIC, [])


def test_the_sandbox_cannot_be_left_for_loopback(site: Site, fetcher: Fetcher) -> None:
    for location in ("http://127.0.0.1:1/", "https://127.0.0.1/", "http://[::ffff:7f00:1]/"):
        site.routes["/f"] = status(302, Location=location)
        with pytest.raises(Refused) as refused:
            _read(fetcher, f"{site.origin}/f")
        assert refused.value.reason == NOT_PUBLIC
