"""The domain: pure rules about posts, deliveries, attempts and accounts. No clock, no session, no client."""
