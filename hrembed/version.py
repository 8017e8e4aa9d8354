"""The version, apart from `hrembed` itself, which imports the Python door."""

__version__ = "0.1.0"
