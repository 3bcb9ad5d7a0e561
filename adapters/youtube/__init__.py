"""YouTube: publishes videos by resumable upload. README.md describes the steps and what a lost response leads to."""
