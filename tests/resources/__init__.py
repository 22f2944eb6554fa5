"""Tests of look-ups over the Tutum REST API."""
