"""Facebook Pages: unpublished photos, posts and videos, then one call that shows them; see README.md."""
