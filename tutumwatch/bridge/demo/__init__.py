"""A simulated cloud: an engine that is not there, and what happens on it."""
