"""Tests of tutumwatch/events/."""
