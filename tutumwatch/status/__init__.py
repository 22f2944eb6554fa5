"""How we are: the health answer, and what the service manager is told."""
