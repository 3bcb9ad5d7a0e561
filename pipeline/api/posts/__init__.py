"""Routes, schemas and response models of posts."""
