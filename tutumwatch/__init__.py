"""Watch the platform that runs your containers and tell people what they need to know."""

__version__ = "0.1.0"
