"""How the pages of a Graph API list follow each other."""

from __future__ import annotations

from adapters.graph_api import GraphModel


class Cursors(GraphModel):
    """Where a page of a list begins and ends."""

    after: str | None = None


class Paging(GraphModel):
    """The links of a page; ``next`` is missing on the last one."""

    cursors: Cursors = Cursors()
    next: str | None = None

    @property
    def after(self) -> str | None:
        """The cursor of the next page, or None."""
        return self.cursors.after if self.next else None
