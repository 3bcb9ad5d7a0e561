"""TikTok: creator accounts (Content Posting API) and accounts connected through TikTok for Business."""
