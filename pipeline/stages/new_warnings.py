"""Warnings about posts that are being stored together: each also counts those before it in their list."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from pipeline.domain.neighbours import Lines, Neighbour
from pipeline.stages.neighbours import place, warn_of_neighbours
from pipeline.stages.new_post import PostPlan
from pipeline.stages.post_request import AcceptanceWarning
from pipeline.stages.warnings import warn_of_checks, warn_of_expiring_grant, warn_of_problems
from pipeline.store.posts.insert_batch import NewPost


def warn_of_plan(plan: PostPlan) -> list[AcceptanceWarning]:
    """Return the warnings that the database is not asked for."""
    grants = [
        warning
        for account in plan.accounts
        for warning in warn_of_expiring_grant(account, plan.dues[account.id])
    ]
    return [*warn_of_checks(plan.submission.request, plan.checks), *warn_of_problems(plan.problems), *grants]


def list_gaps(plans: Sequence[PostPlan]) -> dict[UUID, timedelta]:
    """Return the least gaps of the accounts whose stored neighbours ``store_posts`` finds, in its own statement."""
    return {account.id: account.least_gap for plan in plans for account in plan.accounts}


def warn_of_neighbours_together(
    plans: Sequence[PostPlan],
    posts: Sequence[NewPost],
    stored: Collection[UUID],
    found: Mapping[tuple[int, UUID], Sequence[Neighbour]],
) -> Mapping[int, list[AcceptanceWarning]]:
    """Return the warnings of neighbours, stored before or earlier in the list, by post.

    *posts*: of the plans; *stored*: those of them that are; *found*: by position of the post and account.
    """
    warnings: dict[int, list[AcceptanceWarning]] = defaultdict(list)
    together = Counter(account.id for plan in plans for account in plan.accounts)
    lines = Lines(together.total() + 1)
    for n, (plan, post) in enumerate(zip(plans, posts, strict=True)):
        compared = [a for a in plan.accounts if together[a.id] > 1 or (n, a.id) in found]
        if not compared or post.id not in stored:
            continue
        contents = {one.account_id: one.content for one in post.deliveries}
        named = plan.submission.caller.accounts is None
        for one in place(post.id, plan.submission.request, compared, plan.dues, contents):
            near = [*found.get((n, one.account.id), ()), *lines.add(one.part)]
            warnings[n].extend(warn_of_neighbours(one, near, named=named) if near else ())
    return warnings
