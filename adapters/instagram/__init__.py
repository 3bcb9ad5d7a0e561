"""Instagram: containers, then one ``media_publish``; see README.md."""
