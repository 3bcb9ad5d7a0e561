"""Files of posts: their formats, and the rows in them. Nothing here knows the database or HTTP."""
