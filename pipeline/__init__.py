"""A post's way from one request to six platforms."""
