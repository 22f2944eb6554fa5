"""``python -m tutumwatch`` and the ``tutumwatch`` script."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from tutumwatch.cli.main import cli

    cli()


if __name__ == "__main__":
    main()
