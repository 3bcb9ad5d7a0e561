"""The file of `slipway import plan`: its options, its media, and saved lists of other products, made rows of NDJSON.

Media are files of a folder or of a ZIP, found by name and uploaded once.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, get_args

import click

from pipeline.cli import lazy_imports

with lazy_imports():
    from pipeline.api.files import routes
    from pipeline.api.imports import models
    from pipeline.api.posts import schema
    from pipeline.imports import columns as file_columns
    from pipeline.imports import convert, local_time, presets, read, saved_lists, upload, validate
    from pipeline.imports import plan as plans
    from pipeline.media import uploads
    from pipeline.stages import file_upload, post_request
    from pipeline.store import audit, database
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.files import files as store

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

PIECE = 1024 * 1024
Open = Callable[[], IO[bytes]]


def read_options(
    name: str | None, form: str | None, given: dict[str, Any]
) -> tuple[dict[str, Any] | None, upload.ImportOptions]:
    """Return what is said of a saved list, if FILE is one, and the options of a file, by the API's own checks.

    Raises ClickException.
    """
    from pydantic import ValidationError

    saved = {option: given.pop(option) for option in ("product", "theirs", "without")}
    if any(saved.values()) and (form or not saved["product"]):
        raise click.ClickException("--account and --without are for --from, and --format for other files.")
    asked = {**given, "name": name}
    try:
        query = models.UploadQuery.model_validate({key: value for key, value in asked.items() if value})
    except ValidationError as error:
        found = error.errors()[0]
        option = str(found["loc"][0]).replace("_", "-")
        raise click.ClickException(f"--{option}: {found['msg']} It is {found['input']!r}.") from None
    return saved if saved["product"] else None, query.to_options(None)


def convert_list(
    context: Context, caller: Caller, saved: Mapping[str, Any], file: BinaryIO, target: Path
) -> list[str]:
    """Write the rows of a saved list to *target*; return the notes for its author. Raises ClickException.

    *saved*: as ListReader has it.
    """
    with context.database.begin() as c:
        ours = account_store.find_accounts(c, caller.workspace_id)
    reader = saved_lists.ListReader(ours=ours, **saved)
    try:
        found = list(reader.read(file.read(saved_lists.MAX_BYTES + 1)))
    except local_time.InvalidCell as error:
        raise click.ClickException(f"--account {' '.join(saved['theirs'])}: {error}") from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if not found:
        raise click.ClickException(f"No post is still to come. {' '.join(reader.describe())}".rstrip())
    rows = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in found)
    target.write_text("".join(rows), "utf-8", "backslashreplace")
    notes: list[str] = plans.make_storable(reader.describe())
    return notes


@contextmanager
def open_media(path: Path) -> Iterator[Mapping[str, Open]]:
    """Open a folder or a ZIP: how to open each file, by its name in it. Nothing outside of it has a name here."""
    if path.is_dir():
        yield dict(_list_folder(path.resolve()))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise click.ClickException(f"{path} is no folder, and cannot be read as a ZIP: {error}.") from None
    with archive:
        yield {
            one.filename: partial(archive.open, one)
            for one in archive.infolist()
            if not (one.is_dir() or one.filename.startswith("/") or ".." in one.filename.split("/"))
        }


def _list_folder(root: Path) -> Iterator[tuple[str, Open]]:
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if path.resolve().is_relative_to(root) and path.is_file():
                yield path.relative_to(root).as_posix(), partial(_open, path)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def send_media(
    context: Context,
    caller: Caller,
    media: Path,
    source: Path,
    form: file_columns.Format | None,
    options: upload.ImportOptions,
) -> upload.ImportOptions:
    """Upload what the rows of a file of posts name in a folder or a ZIP; return the options with the URLs.

    Raises ClickException.
    """
    columns = file_columns.build_columns(schema.PostBody)
    limits = context.settings.imports
    try:
        with context.database.begin() as c:
            renamed = presets.choose_columns(
                c,
                caller,
                columns,
                preset=options.preset,
                renamed=options.map or "",
                save_as=None,
            )
        columns = columns.rename(renamed)
        kind = form or file_columns.detect_format(options.name, None, convert.read_head(source, None, limits))
        staged = source.with_suffix(".rows")
        convert.convert_file(
            source, staged, kind, limits, columns, encoding=options.text_encoding, dates=options.dates
        )
        rows = read.open_rows(staged, kind, limits, columns=columns, time_zone=caller.time_zone)
        names = {name for row in rows for name in validate.list_names(row.body or {})}
    except file_columns.FileProblem as problem:
        raise click.ClickException(problem.message) from None
    with open_media(media) as files:
        return replace(options, media=upload_media(context, caller, files, names))


def upload_media(
    context: Context, caller: Caller, files: Mapping[str, Open], names: Collection[str]
) -> dict[str, str]:
    """Upload the files of these names, each content once, and return their URLs. Names that no file has are left out.

    A name is that of a file in the folder, or its last part where only one file has it. Raises ClickException.
    """
    by_last: dict[str, list[str]] = {}
    for name in files:
        by_last.setdefault(name.rpartition("/")[2], []).append(name)
    urls = {}
    for name in sorted(names):
        found = [name] if name in files else by_last.get(name, [])
        if len(found) == 1:
            urls[name] = _upload(context, caller, name, files[found[0]])
    unused = sorted(files.keys() - names - {one for name in names for one in by_last.get(name, ())})
    if unused:
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""  # noqa: PLR2004
        click.echo(f"No row names {', '.join(unused[:10])}{more}.", err=True)
    return urls


def _read_pieces(name: str, open_: Open, most: int) -> Iterator[bytes]:
    """Yield the bytes of a file, up to one piece over *most*, however much it inflates to. Raises ClickException."""
    size = 0
    try:
        with open_() as file:
            while size <= most and (piece := file.read(PIECE)):
                size += len(piece)
                yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise click.ClickException(f"{name} cannot be read: {error}.") from None
    except RuntimeError:  # as zipfile has it
        raise click.ClickException(f"{name} cannot be read: it is encrypted in the ZIP.") from None


def _upload(context: Context, caller: Caller, name: str, open_: Open) -> str:
    kind = guess_type(name)[0] or ""
    if kind not in get_args(routes.ContentType.__value__):
        raise click.ClickException(f"{name} is no image, video or PDF that can be uploaded, by its name.")
    most, digest = context.settings.files.max_bytes, hashlib.sha256()
    for piece in _read_pieces(name, open_, most):
        digest.update(piece)
    with context.database.begin() as c:
        if (known := store.find_stored(c, caller, digest.digest())) is not None:
            return known
        identity, addresses = database.new_id(), context.files.addresses
        own = addresses.create_name(kind)
        url = addresses.public_url(own)
        store.open_file(
            c,
            workspace=caller.workspace_id,
            key=caller.stored_key,
            name=own,
            url=url,
            content_type=kind,
            filename=name[-routes.MAX_FILENAME :],
            identity=identity,
        )
        facts = {"content_type": kind, "filename": name}
        audit.record_change(c, caller.actor, "open", "file", identity, caller.workspace_id, after=facts)
        opened = store.find_upload(c, identity)
    if opened is None:
        raise click.ClickException(f"The upload of {name} was removed in the meantime.")
    begun = file_upload.begin_upload(context, caller.actor, opened)
    try:
        for piece in _read_pieces(name, open_, most):
            begun.intake.write(piece)
        done = begun.intake.finish()
    except BaseException as error:
        begun.try_abandon()
        if isinstance(error, uploads.TooLarge):
            error = file_upload.build_too_large(context, begun.intake.most)
        if isinstance(error, uploads.TypeMismatch | post_request.Refusal):
            raise click.ClickException(f"{name} cannot be uploaded. {error}") from None
        raise
    file_upload.finish_upload(begun, done)
    return url
