"""The dashboard: web pages for the people at an agency, rendered on the server, under ``/dashboard``."""
