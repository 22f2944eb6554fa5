"""Where it goes: one file for each kind of destination."""
