"""The ``tutumwatch`` command."""
