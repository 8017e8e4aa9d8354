"""The version, apart from `hrembed` itself, which imports the Python door; and those of other packages."""

from functools import cache

__version__ = "0.1.0"


@cache  # reading it takes milliseconds, and what a process has imported stays as it is
def version_of(package: str) -> str | None:
    """Look up the version of a package; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # not for `--help`

    try:
        return version(package)
    except PackageNotFoundError:
        return None
