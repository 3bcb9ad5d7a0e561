"""Deliveries: claim, arm, settle, release and rescue them, and read them for operators."""
