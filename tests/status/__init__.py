"""Tests of tutumwatch.status."""
