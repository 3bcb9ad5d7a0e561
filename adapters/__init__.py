"""Adapters: how Slipway calls each platform. They know no database, queue or web framework; see README.md."""
