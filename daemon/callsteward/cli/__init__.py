"""The command line."""

from callsteward.cli.app import main

__all__ = ["main"]
