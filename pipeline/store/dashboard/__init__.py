"""What the pages of the dashboard read."""
