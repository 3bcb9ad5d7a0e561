"""LinkedIn: media first, then one ``POST /rest/posts``; see README.md."""

from adapters.linkedin.adapter import LinkedIn

__all__ = ["LinkedIn"]
