"""Tests of the store in a file, on real files."""
