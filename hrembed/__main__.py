"""Run the command line as `python -m hrembed`."""

from hrembed.cli.app import entry_point

entry_point()
