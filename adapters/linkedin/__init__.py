"""LinkedIn: media first, then one ``POST /rest/posts``; see README.md."""
