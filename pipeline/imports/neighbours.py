"""Warnings about rows whose posts would be too close to another of an account, or have its caption or media.

Rows are compared with the stored posts, and with the earlier rows of the same slice of work: one that goes on after a
restart knows no earlier ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from pipeline.imports.import_slice import ImportSlice
from pipeline.imports.validate import Issue
from pipeline.stages.ingest import Outcome
from pipeline.stages.new_post import PostPlan
from pipeline.stages.warnings import place, warn_of_neighbours
from pipeline.store.imports.rows import RowRecord
from pipeline.store.posts.insert_batch import find_neighbours


def warn_of_rows(
    work: ImportSlice, c: Connection, outcomes: Sequence[Outcome], records: Sequence[RowRecord]
) -> list[RowRecord]:
    """Return the records of a chunk with the warnings of those that make a post. *outcomes*: of each."""
    placed = [
        one
        for record, plan in zip(records, outcomes, strict=True)
        if record.action == "create" and isinstance(plan, PostPlan)
        for one in place(record.number, plan.submission.request, plan.accounts, plan.dues)
    ]
    found = find_neighbours(c, [one.part for one in placed])
    warnings: dict[object, list[Issue]] = defaultdict(list)
    for n, one in enumerate(placed):
        near = [*found.get(n, ()), *work.lines.add(one.part)]
        for w in warn_of_neighbours(one, near, named=work.caller.accounts is None):
            warnings[one.part.post].append({"code": w.code, "path": w.field, "message": w.message})
    return [
        replace(r, warnings=[*(r.warnings or ()), *warnings[r.number]]) if r.number in warnings else r
        for r in records
    ]
