"""Response models of the operations on imports, with the functions that fill them."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.imports.schema import ImportFormat
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.delivery import to_public
from pipeline.store.imports.imports import Import


class ImportCounts(ResponseModel):
    """Rows read so far by verdict: accepted + duplicate + rejected = rows, at any time."""

    rows: int
    accepted: int = Field(description="Applying them makes or edits a post, or has.")
    duplicate: int = Field(description="Their posts were there before, or stand in an earlier row.")
    rejected: int


class ImportPlan(ResponseModel):
    """The changes that applying the import makes. Nothing is changed before."""

    hash: str = Field(
        description="Of this import and all of its rows: bodies, accounts, verdicts. For apply."
    )
    new: int = Field(description="Posts to create.")
    changed: int = Field(description="Posts to edit: their external_id was used with another body.")
    duplicate: int
    rejected: int


class ImportError(ResponseModel):  # noqa: A001  a schema's name in the document
    """Why the import failed."""

    code: str
    message: str


class ImportHold(ResponseModel):
    """Why an import makes no posts for a while."""

    code: str
    message: str
    until: Timestamp


class ImportJob(ResponseModel):
    """One import."""

    id: UUID
    state: Annotated[str, one_of([*map(to_public, ImportState)])]
    name: str | None
    format: ImportFormat
    size: int = Field(description="Bytes of the file as it was sent.")
    strict: bool
    update: bool
    time_zone: str | None
    created_at: Timestamp
    counts: ImportCounts
    plan: ImportPlan | None = Field(description="null until every row is validated.")
    done: int = Field(description="Number of the last row that is applied, or rolled back.")
    result: dict[str, int] = Field(description="What applying and rolling back did so far.")
    notes: list[str] = Field(description="What was guessed about the file, such as its encoding.")
    error: ImportError | None
    held: ImportHold | None = Field(
        default=None, exclude_if=is_empty, description="Why no posts are made now, and until when."
    )
    expired: bool = Field(
        default=False, exclude_if=is_empty, description="True once its file and rows are removed."
    )
    duplicate: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True if the file was sent before under the same Idempotency-Key.",
    )

    @classmethod
    def from_import(cls, job: Import, *, is_repeat: bool = False) -> Self:
        """Return the import as the API shows it."""
        fields: dict[str, Any] = {
            name: getattr(job, name)
            for name in (
                "id",
                "name",
                "format",
                "size",
                "strict",
                "time_zone",
                "created_at",
                "done",
                "error",
                "held",
            )
        }
        counts = {name: getattr(job, name) for name in ImportCounts.model_fields}
        plan = {**(job.plan or {}), "hash": (job.plan_hash or b"").hex()} if job.has_plan else None
        return cls.model_validate(
            {
                **fields,
                "state": to_public(job.state),
                "update": job.updates,
                "counts": counts,
                "plan": plan,
                "result": {to_public(name): count for name, count in job.result.items()},
                "notes": list(job.notes),
                "expired": job.removed_at is not None,
                "duplicate": is_repeat,
            }
        )


class ImportPage(ResponseModel):
    """A page of imports, newest first."""

    imports: list[ImportJob]
    next_cursor: str | None
