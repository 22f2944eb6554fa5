"""Tests of tutumwatch/rehearsal/."""
