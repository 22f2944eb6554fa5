"""Tests of tutumwatch/inventory/."""
