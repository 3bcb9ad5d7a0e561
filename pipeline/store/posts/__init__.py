"""Posts: insert, read, list and change them."""
