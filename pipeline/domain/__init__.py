"""Pure decisions: no clock, no session, no client. What is true of a post, a delivery, an attempt."""
