"""Documents over a real web server: their pages are counted in the confined process, and hostile ones refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.media.fetch import Fetcher
from pipeline.media.probe import probe as probe_module
from pipeline.media.probe.containers import Kind
from pipeline.media.probe.probe import ProbedMedia, probe
from pipeline.media.url_policy import Refused
from tests.pipeline.media import samples
from tests.pipeline.media.documents import TREE, document, from_objects, pack
from tests.pipeline.media.servers import Site, file


def _probe(site: Site, fetcher: Fetcher, data: bytes, expected: Kind = "document") -> ProbedMedia:
    site.routes["/c.pdf"] = file(data, ETag='"v1"')
    return probe(fetcher, f"{site.origin}/c.pdf", expected)


@pytest.mark.parametrize("pages", [1, 300, 301])
def test_pages_are_counted(site: Site, fetcher: Fetcher, pages: int) -> None:
    data = document(pages)
    facts = _probe(site, fetcher, data).facts
    assert (facts.content_type, facts.bytes, facts.pages) == ("application/pdf", len(data), pages)
    assert (facts.width, facts.duration, facts.etag) == (None, None, '"v1"')


def test_a_compressed_page_tree_is_read_after_every_right_is_given_up(site: Site, fetcher: Fetcher) -> None:
    assert _probe(site, fetcher, pack()).facts.pages == 2


def test_pages_lie_anywhere_in_a_large_file(site: Site, fetcher: Fetcher) -> None:
    data = document(280, b"%" + bytes(250_000))
    assert len(data) > 64 * 1024**2
    assert _probe(site, fetcher, data).facts.pages == 280


def test_a_document_has_no_thumbnail(site: Site, fetcher: Fetcher) -> None:
    assert _probe(site, fetcher, document(1)).make_thumbnail() is None


def test_the_number_of_pages_that_a_file_claims_does_not_count(site: Site, fetcher: Fetcher) -> None:
    for claimed in (b"1", b"9999999", b"(many)"):
        tree = (TREE[0], TREE[1].replace(b"/Count 2", b"/Count " + claimed), *TREE[2:])
        assert _probe(site, fetcher, from_objects(*tree)).facts.pages == 2


PASSWORD = "password"
HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("password", lambda: document(2, user_password="secret", algorithm="AES-256"), PASSWORD),
    ("restricted", lambda: document(2, user_password="", owner_password="o", algorithm="RC4-128"), PASSWORD),
    ("unknown lock", lambda: from_objects(*TREE, trailer=b"/Encrypt<</Filter/Own>>/ID[(a)(b)]"), PASSWORD),
    ("cut", lambda: document(3)[:300], "damaged"),
    ("head", lambda: b"%PDF-1.7", "damaged"),
    ("no tree", lambda: from_objects(b"<</Type/Catalog>>"), "damaged"),
    ("no pages", lambda: from_objects(TREE[0], b"<</Type/Pages/Count 0/Kids[]>>"), "damaged"),
    ("circle", lambda: from_objects(TREE[0], b"<</Type/Pages/Kids[2 0 R]>>"), "damaged|memory"),
    ("number", lambda: from_objects(TREE[0], b"7"), "damaged"),
    (
        "deep",
        lambda: from_objects(TREE[0], *(b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % n for n in range(3, 2000))),
        "damaged|memory|time",
    ),
    (
        "doubling",
        lambda: from_objects(
            TREE[0], *(b"<</Type/Pages/Count 1/Kids[%d 0 R %d 0 R]>>" % (n, n) for n in range(3, 40)), TREE[2]
        ),
        "damaged|memory|time",
    ),
    ("nested", lambda: from_objects(b"[" * 100_000), "damaged|memory|time"),
    ("bomb", lambda: pack(bytes(200 * 1024**2)), "damaged|memory|time"),
]


@pytest.mark.parametrize(
    ("make", "reason"), [(make, reason) for _, make, reason in HOSTILE], ids=[name for name, *_ in HOSTILE]
)
def test_a_hostile_document_is_refused(
    site: Site, fetcher: Fetcher, make: Callable[[], bytes], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        _probe(site, fetcher, make())


def test_a_document_is_no_other_file_and_no_other_file_a_document(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Refused, match=r"it is a document \(application/pdf\), not an image"):
        _probe(site, fetcher, document(1), "image")
    with pytest.raises(Refused, match="it is an image"):
        _probe(site, fetcher, samples.image("PNG"))
    with pytest.raises(Refused, match="not those of a document"):
        _probe(site, fetcher, b"PK\x03\x04" + bytes(100))


def test_a_document_over_the_bound_of_bytes_is_not_read(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = document(2, b"%" + bytes(400_000))
    monkeypatch.setattr(probe_module, "DOCUMENT_BYTES", len(data) - 1)
    with pytest.raises(Refused, match=f"it has {len(data):,} bytes, and at most {len(data) - 1:,}"):
        _probe(site, fetcher, data)
