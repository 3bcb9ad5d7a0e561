"""Every reader of bytes that users choose: how it is called, what it may answer, and files to start from.

A reader raises only what is a fault of ours; its declared refusals are caught here. Readers that run in a probe process
are called in this process, which is a hundred times as fast, and `replay` calls them as a worker does: in confinement.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import uvicorn
from PIL import Image
from starlette.datastructures import Headers
from uvicorn.server import ServerState

from adapters.contract import MediaFacts
from adapters.errors import Rejected
from config.groups import Imports
from pipeline.api.accounts.oauth_routes import ConnectBody
from pipeline.api.files import download
from pipeline.api.files.routes import FileBody, FileQuery
from pipeline.api.files.upload import get_declared_size
from pipeline.api.http import middleware
from pipeline.api.http import request as http_request
from pipeline.api.http.dependencies import parse_id, parse_json
from pipeline.api.http.envelope import JsonResponse
from pipeline.api.http.representation import choose_encoding, matches, strip_encodings
from pipeline.api.http.request import choose_address
from pipeline.api.http.validation import is_safe_text, name_ignored, validate_body
from pipeline.api.imports.models import ApplyBody, RowQuery, UploadQuery
from pipeline.api.operator import models as operator_models
from pipeline.api.posts import pagination
from pipeline.api.posts.action_schema import read_cancel, read_change, read_delete, read_retry
from pipeline.api.posts.batch import read_batch, read_each
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import PostBody, parse_key_header, read_post
from pipeline.api.posts.steer import SteerBody
from pipeline.api.server.http_protocol import HttpProtocol
from pipeline.api.webhooks import WebhookBody, WebhookChanges
from pipeline.cli.account_file import read_accounts
from pipeline.dashboard import filter as page_filter
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.media_fitting import Conversion, plan_thumbnail
from pipeline.domain.receipt import BrokenChain, issue, verify
from pipeline.domain.webhook import parse_retry_after
from pipeline.imports.columns import FileProblem, Format, build_columns, detect_format
from pipeline.imports.convert import convert_file, read_head
from pipeline.imports.read import open_rows, stage_rows
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.media.probe import probe, probe_client, probe_worker
from pipeline.media.probe.containers import HEAD_BYTES, Container, sniff
from pipeline.media.probe.probe import SheetJob
from pipeline.media.probe.probe_client import ProbeMemory
from pipeline.media.uploads import UploadUrls
from pipeline.media.url_policy import FetchFailed, Refused, parse_target, require_allowed, resolve_redirect
from pipeline.runtime.interpreter import zstd
from pipeline.stages.post_request import Refusal
from tests.pipeline.imports.spreadsheets import build_ods, build_xlsx
from tests.pipeline.media import documents, hostile_files, samples

Read = Callable[[bytes], object]
SECONDS = 10
"""Longest that one file may take in one reader; in confinement, `CPU_SECONDS` is the bound, and a refusal."""
MEMORY = 256 * 1024**2
"""Bytes that a reader may allocate outside of a probe process, for a file of at most `MAX_BYTES`."""
MAX_BYTES = 64 * 1024
_PARTS = ProbeMemory(1_000_000_000)
_COLUMNS = build_columns(PostBody)
_ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"


probe_worker.load_libraries()  # as the fork server does


class OurFault(AssertionError):
    """A reader in a probe process answered that this installation is at fault."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader. ``read`` raises what is a fault of ours, and nothing else."""

    read: Read
    seeds: Callable[[], Sequence[bytes]]
    replay: Read | None = None
    """As a worker calls it; None: as ``read`` does."""

    def run(self, data: bytes) -> None:
        """Read a file as a worker does. Raises what is a fault of ours."""
        (self.replay or self.read)(data)


# --- media, in the probe process --------------------------------------------------------------------------------------


def _build_file(data: bytes) -> probe_worker.RangeFile:
    return probe_worker.RangeFile(len(data), lambda first, length: data[first : first + length])


def _answer(inspect: Callable[[probe_worker.RangeFile], dict[str, Any]], data: bytes) -> dict[str, Any]:
    answer = probe_worker._answer(inspect, _build_file(data))
    if answer.get("error") == "fault":
        raise OurFault(answer["traceback"])
    return answer


class _NoPipe:
    """Takes the output of a conversion or a spreadsheet."""

    def __init__(self) -> None:
        self.output = bytearray()

    def send_output(self, output: bytes) -> None:
        self.output += output


def _inspect(container: Container, data: bytes) -> None:
    job: dict[str, Any] = {"reader": container.reader, "format": container.format}
    job |= {"size": len(data), "memory": probe_worker.MEMORY}
    _answer(probe_worker._select_reader(job, cast("probe_worker.Pipe", _NoPipe())), data)


def read_media(data: bytes) -> None:
    container = sniff(data[:HEAD_BYTES])
    if container is not None:
        _inspect(container, data)


def replay_media(data: bytes) -> None:
    container = sniff(data[:HEAD_BYTES])
    if container is not None:
        with suppress(Refused):
            probe_client.inspect(container, len(data), lambda o, n: data[o : o + n], 60, _PARTS)


def _plan(data: bytes) -> tuple[Container, Conversion] | None:
    """Return how the image would be converted: an image of 64 x 32 pixels, whatever it has become."""
    container = sniff(data[:HEAD_BYTES])
    if container is None or container.reader != "pillow":
        return None
    sizes: dict[str, Any] = {"crop": (64, 32), "scaled": (30, 15), "canvas": (40, 40)}
    return container, Conversion(source=(64, 32), max_bytes=None, **sizes)


def read_conversion(data: bytes) -> None:
    if (planned := _plan(data)) is None:
        return
    container, plan = planned
    job = asdict(plan) | {
        "reader": "convert",
        "format": container.format,
        "max_bytes": probe_worker.MAX_OUTPUT,
    }
    _answer(probe_worker._select_reader(job, cast("probe_worker.Pipe", _NoPipe())), data)


def replay_conversion(data: bytes) -> None:
    if planned := _plan(data):
        with suppress(Rejected):
            probe.convert(io.BytesIO(data), planned[1], _PARTS, 60)


_FRAME = plan_thumbnail(MediaFacts(content_type="video/mp4", bytes=9, width=320, height=180))


def _plan_frame(data: bytes) -> tuple[Container, Conversion] | None:
    """Return how a frame of the video becomes a thumbnail."""
    container = sniff(data[:HEAD_BYTES])
    return (container, _FRAME) if container is not None and container.reader == "av" and _FRAME else None


def read_frame(data: bytes) -> None:
    if (planned := _plan_frame(data)) is None:
        return
    container, plan = planned
    job = asdict(plan) | {"reader": "frame", "format": container.format}
    _answer(probe_worker._select_reader(job, cast("probe_worker.Pipe", _NoPipe())), data)


def replay_frame(data: bytes) -> None:
    if planned := _plan_frame(data):
        with suppress(Refused):
            probe._run_conversion(planned[0], len(data), lambda o, n: data[o : o + n], planned[1], 60)


# --- imports ----------------------------------------------------------------------------------------------------------


def _build_sheet_job(data: bytes) -> SheetJob:
    form = detect_format(None, None, data[:512])
    return SheetJob(format=form.value, size=len(data), max_rows=2000, max_ratio=200, max_bytes=8 * 1024**2)


def read_sheet(data: bytes) -> None:
    with suppress(FileProblem):
        pipe = _NoPipe()
        job = asdict(_build_sheet_job(data)) | {"size": len(data)}
        _answer(probe_worker._select_reader(job, cast("probe_worker.Pipe", pipe)), data)
        _read_sheet_rows(pipe.output)


def replay_sheet(data: bytes) -> None:
    with suppress(FileProblem, Refused):
        output = bytearray()
        probe.read_sheet(_build_sheet_job(data), lambda o, n: data[o : o + n], output.extend)
        _read_sheet_rows(output)


def _read_sheet_rows(output: bytearray) -> None:
    with TemporaryDirectory(dir=_find_ram()) as folder:
        lines, staged = Path(folder) / "lines", Path(folder) / "staged"
        lines.write_bytes(output)
        stage_rows(lines, staged, Format.XLSX, Imports(), _COLUMNS)
        _read_rows(staged, Format.XLSX)


def _read_rows(staged: Path, form: Format) -> None:
    for row in open_rows(staged, form, Imports(), columns=_COLUMNS, time_zone="Europe/Berlin"):
        if row.body is not None:
            with suppress(Refusal):
                read_post(row.body, Rules())


@cache
def _find_ram() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def read_text(data: bytes) -> None:
    """Read a file of posts; its first byte chooses the content encoding."""
    encoding, sent = {b"g": "gzip", b"z": "zstd"}.get(data[:1]), data[1:]
    with TemporaryDirectory(dir=_find_ram()) as folder, suppress(FileProblem):
        source, staged = Path(folder) / "sent", Path(folder) / "staged"
        source.write_bytes(sent)
        limits = Imports(max_bytes=8 * 1024**2)
        form = detect_format(None, None, read_head(source, encoding, limits))
        if not form.is_spreadsheet:
            convert_file(source, staged, form, limits, _COLUMNS, content_encoding=encoding)
            _read_rows(staged, form)


def read_account_file(data: bytes) -> None:
    read_accounts(data, None)


def read_receipts(data: bytes) -> None:
    with suppress(BrokenChain):
        verify(io.BytesIO(data))


# --- requests and answers ---------------------------------------------------------------------------------------------


def read_json(data: bytes) -> None:
    with suppress(Refusal):
        is_safe_text(data)
        body = parse_json(data)
        rules = Rules()
        for read in (
            partial(read_post, rules=rules),
            partial(read_change, rules=rules),
            lambda given: read_each(read_batch(given), rules),
            *(read_retry, read_cancel, read_delete),
            *(
                partial(validate_body, one)
                for one in (operator_models.ReplayBody, operator_models.DiscardBody)
            ),
            *(
                partial(validate_body, one)
                for one in (SteerBody, FileBody, ApplyBody, WebhookBody, WebhookChanges, ConnectBody)
            ),
        ):
            with suppress(Refusal):
                cast("Callable[[Any], object]", read)(body)


_VISITOR = Visitor(
    user_id=UUID(_ID), login="a", id=UUID(_ID), is_stale=False, position=0, roles={}, names={}, everywhere=None,
    csrf="", address="", request_id="", cursor="", has_second_factor=False,
)  # fmt: skip


def read_queries(data: bytes) -> None:
    """Read the query string of every list, and the ids of paths."""
    for read in (
        *(model.read for model in (pagination.PostQuery, pagination.ExportQuery, FileQuery)),
        *(model.read for model in (UploadQuery, RowQuery, operator_models.ListQuery)),
        lambda raw: name_ignored(raw, ("limit",)),
        lambda raw: parse_id(raw.decode("latin-1")),
    ):
        with suppress(Refusal):
            cast("Read", read)(data)
    with suppress(page_filter.InvalidFilter):
        asked = page_filter.read_filter(
            page_filter.read_query(data.decode("utf-8", "replace")), _VISITOR, ZoneInfo("UTC")
        )
        asked.build_address("/queue")


_PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def read_headers(data: bytes) -> None:
    """Read the values of headers, one after the other."""
    text = data.decode("latin-1").replace("\n", "").replace("\r", "").replace("\0", "")
    choose_encoding(text)
    matches(text, 'W/"abc"')
    strip_encodings(text)
    choose_address("10.0.0.1", text, _PROXIES)
    parse_retry_after(text, datetime(2027, 1, 1, tzinfo=UTC))
    middleware._choose_request_id(data, text)
    http_request._is_json(text)
    get_declared_size(cast("Any", type("Request", (), {"headers": {"content-length": text}})))
    download._parse_range(Headers({"range": text}), '"a"', 1000)
    with suppress(Refusal):
        parse_key_header(text)


def read_url(data: bytes) -> None:
    url = data.decode("utf-8", "replace")
    UploadUrls(public="https://posts.example.com", keys=()).parse_name(url)
    for read in (
        require_allowed,
        lambda text: resolve_redirect(parse_target("https://example.com/a/b?c"), text),
    ):
        with suppress(Refused):
            cast("Callable[[str], object]", read)(url)


class _Socket:
    """A connection to a server that answers with these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def settimeout(self, _: float) -> None: ...

    def sendall(self, _: bytes) -> None: ...

    def close(self) -> None: ...

    def recv_into(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def read_answer(data: bytes) -> None:
    """Read what a media server, or the receiver of a webhook, answers."""
    origin = "http://127.0.0.1:1"
    fetcher = Fetcher(
        FetchPolicy(allowed_origins=frozenset({origin}), max_redirects=1),
        resolver=lambda _: ["127.0.0.1"],
        dial=lambda *_: cast("Any", _Socket(data)),
    )
    with suppress(FetchFailed), fetcher.open_range(f"{origin}/f", 2, 1000) as answer:
        for _ in answer.chunks:
            pass
    with suppress(FetchFailed):
        answered = fetcher.post(f"{origin}/f", b"{}", {}, seconds=5, keep=100)
        parse_retry_after(answered.retry_after or "", datetime(2027, 1, 1, tzinfo=UTC))


class _Transport(asyncio.Transport):
    """The server's end of a connection whose client reads nothing."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._is_closed = False

    def write(self, data: Any) -> None: ...

    def close(self) -> None:
        self._is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


async def _serve(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        await JsonResponse({"path": scope["path"]})(scope, receive, send)


@cache
def _configure() -> tuple[asyncio.AbstractEventLoop, uvicorn.Config]:
    config = uvicorn.Config(
        _serve, http=HttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    config.load()
    return asyncio.new_event_loop(), config


def read_request(data: bytes) -> None:
    """Parse an HTTP request, in two parts as the network may cut it."""
    loop, config = _configure()

    async def receive() -> None:
        state = ServerState()
        protocol = HttpProtocol(config=config, server_state=state, app_state={}, _loop=loop)
        transport = _Transport()
        protocol.connection_made(transport)
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            if not transport.is_closing():
                protocol.data_received(part)
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        for task in list(state.tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    loop.run_until_complete(receive())


# --- what the fuzzing starts from -------------------------------------------------------------------------------------


def _make_mp4s() -> list[bytes]:
    return [
        *(samples.video(movflags=flags) for flags in ("", "faststart", "frag_keyframe+empty_moov")),
        *(samples.video("mov"), samples.video(turned=90), samples.sound()),
        *(hostile_files.with_fragment(3), hostile_files.with_nested_boxes(20), hostile_files.with_samples(9)),
    ]


def _make_avis() -> list[bytes]:
    return [samples.video("avi", "mpeg4"), hostile_files.avi(9), hostile_files.avi_with_index_chunks(9)]


def _make_matroskas() -> list[bytes]:
    return [
        *(samples.video("webm", "libvpx-vp9"), samples.video("matroska")),
        *(hostile_files.matroska(9), hostile_files.matroska_with_tags_at_the_end(99)),
    ]


def _make_images() -> list[bytes]:
    forms = ("JPEG", "PNG", "WEBP", "AVIF")
    made = [samples.image(form, orientation=turn) for form in forms for turn in (1, 6)]
    made += [
        samples.image("GIF"),
        *(samples.animation(form) for form in ("GIF", "PNG", "WEBP", "AVIF", "MPO")),
    ]
    made += [hostile_files.with_scans(2), hostile_files.webp(64, 32), samples.bomb()]
    for mode, form in (
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("P", "PNG"),
        ("LA", "PNG"),
        ("I;16", "PNG"),
        ("1", "PNG"),
    ):
        out = io.BytesIO()
        Image.new(mode, (64, 32)).save(out, form, comment=b"c", dpi=(72, 72), icc_profile=_make_profile())
        made.append(out.getvalue())
    return made


def _make_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _make_heics() -> list[bytes]:
    return [samples.heic(100, 50), samples.heic(100, 50, quarter_turns=1)]


def _make_documents() -> list[bytes]:
    tree = documents.from_objects(*documents.TREE)
    return [tree, documents.pack(), documents.document(2), documents.document(1, user_password="secret")]


_ROWS: list[list[Any]] = [
    [
        "caption",
        "media_type",
        "media_urls",
        "accounts",
        "scheduled_at",
        "local_time",
        "time_zone",
        "youtube.tags",
    ],
    ["a", "video", "https://e.com/a.mp4", "tiktok:me", "2031-01-01T00:00:00Z", "", "", "a|b"],
    [
        "b",
        "slideshow",
        "https://e.com/a.jpg|https://e.com/b.jpg",
        _ID,
        "",
        "01.12.2031 09:00",
        "Europe/Berlin",
        '["a"]',
    ],
    ["c", "video", True, 1.5, "now", datetime(2031, 1, 1, 9), "", ""],  # noqa: DTZ001  a cell has no zone
]


def _make_sheets() -> list[bytes]:
    return [build_xlsx(_ROWS), build_ods(_ROWS), build_xlsx(_ROWS, hidden_first=True)]


def _make_texts() -> list[bytes]:
    plain = [
        "\n".join(
            separator.join(f'"{cell}"' if separator in str(cell) else str(cell) for cell in row)
            for row in _ROWS
        )
        for separator in (",", ";", "\t")
    ]
    plain += [
        f"sep=;\n{plain[1]}",
        'caption,scheduled_at\n"a ""b"" \n c",now\n"open,now\n',
        _make_bodies()[0].decode(),
    ]
    sent = [text.encode() for text in plain] + [
        f"caption,scheduled_at\nGrüße {plain[0]},now\n".encode("cp1252")
    ]
    sent += [plain[0].encode("utf-16"), plain[0].encode("utf-8-sig")]
    packed = [b"g" + gzip.compress(sent[0]), b"z" + zstd.compress(sent[0]), b"g" + gzip.compress(sent[-2])]
    return [*(b" " + one for one in sent), *packed]


def _make_bodies() -> list[bytes]:
    post = {
        "caption": "Hello 😀 #tag",
        "media": {"type": "video", "url": "https://e.com/a.mp4", "cover": 1.5, "alt_texts": ["a"]},
        "accounts": [{"id": _ID}],
        "scheduled_at": "2031-01-01T00:00:00+02:00",
        "external_id": "x",
        "ai_generated": True,
        "expires_at": "2031-02-01T00:00:00Z",
        "youtube": {"title": "a", "privacy": "private", "tags": ["a", "b"]},
        "tiktok": {"privacy_level": "SELF_ONLY"},
    }
    bodies: list[dict[str, Any]] = [
        post,
        {
            "posts": [
                post,
                {**post, "media": {"type": "slideshow", "urls": ["https://e.com/a.jpg"], "fit": "pad"}},
            ]
        },
        {"post_ids": [_ID], "account_ids": [_ID]},
        {"postIds": [_ID]},
        {
            "verb": "reschedule",
            "filter": {"account_id": _ID, "due_from": "2031-01-01T00:00:00Z"},
            "shift_seconds": 5,
        },
        {
            "ids": [_ID],
            "filter": {"platform": "tiktok", "older_than": 5},
            "cursor": f"2031-01-01T00:00:00+00:00/{_ID}",
        },
        {"url": "https://e.com/hook", "events": ["post.published"], "plan": "0" * 64, "why": "because"},
        {
            "contentType": "image/jpeg",
            "filename": "a.jpg",
            "remote_ids": ["a"],
            "connection": "b",
            "reconnect": _ID,
        },
    ]
    return [json.dumps(body).encode() for body in bodies]


def _make_queries() -> list[bytes]:
    cursor = pagination.write_cursor((datetime(2031, 1, 1, tzinfo=UTC), UUID(_ID)))
    return [
        f"status=failed&limit=5&since=2031-01-01T00:00:00%2B02:00&until=2032-01-01T00:00:00Z&cursor={cursor}".encode(),
        f"platform=tiktok&older_than=5&newer_than=1.5&cursor=2031-01-01T00:00:00%2B00:00/{_ID}".encode(),
        b"name=a.csv&format=csv&strict=true&update=1&time_zone=Europe/Berlin&verdict=accepted&limit=9",
        b"offset=5&type=image&context=media-upload,all&limit=10",
        f"state=failed&reason=rate&workspace={_ID}&account={_ID}&due_from=2031-01-01T00:00&due_to=2032-01-01".encode(),
        _ID.encode(),
    ]


def _make_headers() -> list[bytes]:
    texts = [
        "gzip;q=0.5, zstd, *;q=0", 'W/"abc-gzip", "d"', "10.0.0.2, 192.0.2.1, fd00::1", "Fri, 31 Dec 1999 23:59:59 GMT",
        "120", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "application/json; charset=utf-8",
        "bytes=0-499", "bytes=-5", "9" * 5000, f"bytes={'9' * 5000}-",
    ]  # fmt: skip
    return [text.encode() for text in texts]


def _make_urls() -> list[bytes]:
    urls = [
        "https://example.com:443/a%20b/ä?c=d#e", "https://[2001:db8::1]/", "//bücher.example/x", "../f?g=[h]",
        "https://posts.example.com/files/abc.mp4", "https://user:a@example.com:99999/", "https://0x7f.1/",
        "https://xn--bcher-kva.example./", "https://[v1.x]/",
    ]  # fmt: skip
    return [url.encode() for url in urls]


def _make_answers() -> list[bytes]:
    heads = [
        '206 P\r\nContent-Range: bytes 2-6/7\r\nContent-Length: 5\r\nETag: "a"\r\nContent-Type: video/mp4; a=b',
        "200 OK\r\nTransfer-Encoding: chunked", "302 F\r\nLocation: /g?h", "200 OK\r\nContent-Length: 7",
        "429 T\r\nRetry-After: 120\r\nContent-Encoding: gzip", "416 R\r\nContent-Range: bytes */0", "100 Continue",
    ]  # fmt: skip
    bodies = ["lo wo", "5\r\nlo wo\r\n0\r\n\r\n", "", "hello w", "no", "", "HTTP/1.1 200 OK\r\n\r\n"]
    return [f"HTTP/1.1 {head}\r\n\r\n{body}".encode() for head, body in zip(heads, bodies, strict=True)]


def _make_requests() -> list[bytes]:
    return [
        b"POST /posts?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
        b"POST /%C3%A4%00 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\nGET http://a:99/b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]


def _make_account_files() -> list[bytes]:
    head = "platform,connection,remote_id,username,access_token,refresh_token,expires_in,scopes,workspace,setting.a\n"
    row = "tiktok,business,123,me,secret,other,3600,a b,Acme,true\n"
    return [f"{head}{row}{row}".encode(), f'\ufeff{head}"tik\ntok",,,,\n'.encode()]


def _make_receipts() -> list[bytes]:
    facts = {
        "outcome": "published",
        "at": datetime(2027, 1, 31, tzinfo=UTC),
        "delivery": UUID(_ID),
        "url": None,
    }
    head, text = None, ""
    for number in range(3):
        line, head = issue(UUID(_ID), head, {**facts, "remote_id": f"ü{number}"})
        text += f"{line}\n"
    return [text.encode()]


READERS: dict[str, Reader] = {
    "mp4": Reader(read=read_media, seeds=_make_mp4s, replay=replay_media),
    "avi": Reader(read=read_media, seeds=_make_avis, replay=replay_media),
    "matroska": Reader(read=read_media, seeds=_make_matroskas, replay=replay_media),
    "image": Reader(read=read_media, seeds=_make_images, replay=replay_media),
    "heic": Reader(read=read_media, seeds=_make_heics, replay=replay_media),
    "document": Reader(read=read_media, seeds=_make_documents, replay=replay_media),
    "conversion": Reader(read=read_conversion, seeds=_make_images, replay=replay_conversion),
    "frame": Reader(
        read=read_frame,
        seeds=lambda: [*_make_mp4s(), *_make_avis(), *_make_matroskas()],
        replay=replay_frame,
    ),
    "sheet": Reader(read=read_sheet, seeds=_make_sheets, replay=replay_sheet),
    "import": Reader(read=read_text, seeds=_make_texts),
    "accounts": Reader(read=read_account_file, seeds=_make_account_files),
    "receipts": Reader(read=read_receipts, seeds=_make_receipts),
    "json": Reader(read=read_json, seeds=_make_bodies),
    "query": Reader(read=read_queries, seeds=_make_queries),
    "header": Reader(read=read_headers, seeds=_make_headers),
    "url": Reader(read=read_url, seeds=_make_urls),
    "answer": Reader(read=read_answer, seeds=_make_answers),
    "request": Reader(read=read_request, seeds=_make_requests),
}
