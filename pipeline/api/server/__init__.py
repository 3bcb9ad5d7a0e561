"""How `slipway api` serves: processes, sockets, HTTP/1.1 connections, and the fast path of `POST /posts`."""
