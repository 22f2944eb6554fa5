"""Tests of tutumwatch.control."""
