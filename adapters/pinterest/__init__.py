"""Pinterest: media first where it is a video, then one ``POST /pins``; see README.md."""
