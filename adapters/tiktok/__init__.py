"""TikTok: creator accounts (Content Posting API) and accounts connected through TikTok for Business."""

from adapters.tiktok.adapter import TikTok

__all__ = ["TikTok"]
