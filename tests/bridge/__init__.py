"""Tests of tutumwatch/bridge."""
