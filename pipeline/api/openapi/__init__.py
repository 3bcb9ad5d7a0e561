"""The OpenAPI document: operations, error codes, examples, and the HTML reference page."""
