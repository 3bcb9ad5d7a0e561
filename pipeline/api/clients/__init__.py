"""The clients of the Partner API: packages for Python and TypeScript, built from its document."""
