"""Performs the tests of a configuration: the rules that run, on a time that does not."""
