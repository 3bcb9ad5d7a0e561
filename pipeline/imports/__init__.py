"""Files of posts: their formats, the rows in them, and the jobs that plan, apply and roll back an import."""
