"""The Partner API, health and metrics over HTTP; see README.md here."""
