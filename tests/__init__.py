"""The tests of tutumwatch and the fake servers they talk to."""
