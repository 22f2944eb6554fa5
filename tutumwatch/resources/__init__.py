"""Look-ups of single resources over the Tutum REST API."""
