"""What we know: every resource with its name, state, parents and fields."""
