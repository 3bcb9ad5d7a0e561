"""What every request passes on its way to a handler: authentication, limits, bodies, the response envelope."""
