"""How the package is built and installed; slower than the rest, since it makes environments."""
