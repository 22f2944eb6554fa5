"""Tests of tutumwatch/rules/."""
