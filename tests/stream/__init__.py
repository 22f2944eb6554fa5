"""Tests of tutumwatch.stream, on a Clock and without sockets."""
