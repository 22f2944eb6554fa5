"""The configuration: read, checked whole, every mistake named with its line."""
