"""Tests of the bench's own arithmetic, and of what it writes."""
