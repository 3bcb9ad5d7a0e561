"""The layers between every request and its handler: authentication, limits, bodies, the response envelope."""
