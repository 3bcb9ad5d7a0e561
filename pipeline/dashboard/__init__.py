"""The dashboard: web pages for the users at an agency, rendered on the server, under ``/dashboard``."""
